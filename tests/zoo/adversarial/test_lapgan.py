"""The chain of Denton et al. 2015: each level apart from the others, from coarse to fine."""

from functools import partial
from itertools import combinations

import pytest
import torch
from torch import nn

from datamodules.digits import Digits
from tests import kit
from zoo.adversarial.lapgan import LAPGAN
from zoo.media.laplacian_pyramid import decompose, upsample
from zoo.metrics.pyramid_levels import distances
from zoo.networks.lapgan import clamp_straight_through


def small(**parameters):
    shape = {"image_size": 8, "image_channels": 1, "width": 8, "base_width": 16, "latent_dim": 4}
    return LAPGAN(**shape | parameters)


def batch(count=6, size=8):
    generator = torch.Generator().manual_seed(0)
    images = 2 * torch.rand(count, 1, size, size, generator=generator) - 1
    return {"image": images, "label": torch.arange(count) % 10}


class Nothing(nn.Module):
    def forward(self, noise, coarse, label):
        return torch.zeros_like(coarse)


def test_refinements_of_nothing_leave_the_enlarged_sample():
    model = small().eval()
    model.generator0, model.generator1 = Nothing(), Nothing()
    coarsest, _, finest = model.sample_pyramid(5)
    assert torch.equal(finest, upsample(upsample(coarsest)))
    assert coarsest.std() > 0


@pytest.mark.parametrize("level", [0, 2])
def test_noise_is_uniform_in_minus_one_to_one(level):
    noise = small().noise(level, 1000).flatten()
    assert noise.min() >= -1
    assert noise.max() <= 1
    counts = noise.histc(4, -1, 1)
    assert (counts / counts.sum() - 0.25).abs().max() < 0.03


def test_the_chain_adds_the_residuals_that_the_generators_draw():
    model = small(pyramid_levels=1).eval()
    latent, label = model.prior(3), torch.tensor([2, 5, 9])
    assert latent.shape == (3, 4 + 64)
    assert latent.min() >= -1
    assert latent.max() <= 1
    nothing = torch.zeros(3, 1, 4, 4)
    coarsest = model.generator1(latent[:, :4], nothing, label)
    coarse = upsample(coarsest)
    expected = coarse + model.generator0(latent[:, 4:], coarse, label)
    given = {"latent": latent, "label": label}
    torch.testing.assert_close(model.sample_pyramid(3, given), [coarsest, expected])
    torch.testing.assert_close(model.sample(3, given), expected.clamp(-1, 1))


def test_the_label_and_the_noise_of_each_level_change_the_sample():
    model = small().eval()
    latent, label = model.prior(4), torch.arange(4)
    first = model.sample(4, {"latent": latent, "label": label})
    assert not torch.allclose(first, model.sample(4, {"latent": latent, "label": label + 4}))
    for start, stop in ((0, 4), (4, 20), (20, 84)):
        other = latent.clone()
        other[:, start:stop] *= -1
        assert not torch.equal(first, model.sample(4, {"latent": other, "label": label}))


def test_limited_images_keep_their_gradient():
    images = torch.tensor([-3.0, -0.25, 1.5], requires_grad=True)
    limit = clamp_straight_through(images)
    assert limit.tolist() == [-1, -0.25, 1]
    (limit * torch.tensor([1.0, 2.0, 4.0])).sum().backward()
    assert images.grad.tolist() == [1, 2, 4]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_loss_of_a_level_reaches_no_other(level):
    model, label = small(), batch()["label"]
    residual, coarse = decompose(batch()["image"], model.hparams.pyramid_levels)[level]
    for loss, player, other in (
        (partial(model.discriminator_loss, level, residual), "discriminator", "generator"),
        (partial(model.generator_loss, level), "generator", "discriminator"),
    ):
        model.zero_grad()
        loss(coarse, label).backward()
        moved = {name for name, child in model.named_children() if gradient_of(child) > 0}
        of_level = {f"{player}{level}", f"{other}{level}"}
        assert moved - {f"{other}{level}"} == {f"{player}{level}"}
        assert moved <= of_level
        if player == "discriminator":
            assert moved == {f"discriminator{level}"}, "the fakes are drawn without gradients"


def gradient_of(module):
    return sum(p.grad.abs().sum().item() for p in module.parameters() if p.grad is not None)


def test_levels_learn_from_real_coarse_images():
    """The loss of a level does not depend on the generator of the level below."""
    model = small().eval()
    torch.manual_seed(0)
    images, label = batch()["image"], batch()["label"]
    pair = decompose(images, model.hparams.pyramid_levels)[0]
    before = model.discriminator_loss(0, *pair, label)
    for parameter in model.generator1.parameters():
        nn.init.constant_(parameter, 7.0)
    torch.manual_seed(0)
    assert torch.equal(model.discriminator_loss(0, *pair, label), before)


def test_a_step_decomposes_the_images_once(tmp_path, monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return decompose(*arguments)

    monkeypatch.setattr("zoo.adversarial.lapgan.decompose", counted)
    kit.fit(small(), tmp_path, 3)
    assert len(calls) == 3


def test_the_losses_by_hand():
    """softplus(-logit) of what shall pass, softplus(logit) of what shall not."""
    model = small(pyramid_levels=0)

    class Judge(nn.Module):
        def forward(self, residual, coarse, label):
            return residual.mean(dim=(1, 2, 3)) * 2

    class Ones(nn.Module):
        def forward(self, noise, coarse, label):
            return torch.ones_like(coarse)

    model.discriminator0, model.generator0 = Judge(), Ones()
    real, coarse = torch.full((3, 1, 8, 8), -0.5), torch.zeros(3, 1, 8, 8)
    label = torch.arange(3)
    softplus = nn.functional.softplus(torch.tensor([1.0, 2.0, -2.0]))
    loss = model.discriminator_loss(0, real, coarse, label)
    torch.testing.assert_close(loss, softplus[0] + softplus[1])
    torch.testing.assert_close(model.generator_loss(0, coarse, label), softplus[2])


def test_a_level_alone_learns_what_it_learns_beside_the_others(tmp_path):
    """Bit for bit; the others stay as they were. Together, all of them move."""

    def trained(level):
        torch.manual_seed(0)
        model = small(level=level)
        begin = kit.weights(model)
        kit.fit(model, tmp_path, 4)
        return begin, kit.weights(model)

    begin, together = trained(None)
    learned = {name for name in begin if not torch.equal(begin[name], together[name])}
    assert {name.partition(".")[0] for name in learned} == {
        f"{player}{k}" for player in ("generator", "discriminator") for k in range(3)
    }
    for level in range(3):
        begin, alone = trained(level)
        own = {name for name in begin if name.partition(".")[0].endswith(str(level))}
        kit.assert_same({n: alone[n] for n in own}, {n: together[n] for n in own})
        others = set(begin) - own
        kit.assert_same({n: alone[n] for n in others}, {n: begin[n] for n in others})


def test_each_level_has_separate_noise(tmp_path):
    samples = []

    class Watched(LAPGAN):
        def noise(self, level, count):
            samples.append(super().noise(level, count))
            return samples[-1]

    model = Watched(
        image_size=8, image_channels=1, pyramid_levels=1, latent_dim=64, width=8, base_width=8
    )
    kit.fit(model, tmp_path, 2)
    assert len(samples) == 8, "of two levels, two turns, two batches"
    assert all(not torch.equal(one, other) for one, other in combinations(samples, 2))


def test_the_coarsest_level_is_updated_first_and_its_discriminator_before_its_generator():
    model = small()
    players = [
        next(name for name, child in model.named_children() if next(child.parameters()) is first)
        for first in (o.param_groups[0]["params"][0] for o in model.configure_optimizers())
    ]
    assert players == [f"{p}{k}" for k in (2, 1, 0) for p in ("discriminator", "generator")]
    assert len(small(level=1).configure_optimizers()) == 2


def test_the_defaults_are_the_papers():
    model = LAPGAN()
    assert [model.size_of(level) for level in model.coarse_to_fine] == [8, 16, 32]
    for optimizer in model.configure_optimizers():
        assert isinstance(optimizer, torch.optim.SGD)
        assert (optimizer.defaults["lr"], optimizer.defaults["momentum"]) == (0.02, 0.5)


def test_sgd_is_that_of_torch7():
    """optim.sgd: v = m v + (1 - m) g after the first step's v = g, θ -= lr v."""
    gradients = [1.0, 1.0, -2.0, 0.5]
    for optimizer in small(momentum=0.8, lr=0.1).configure_optimizers():
        parameter = optimizer.param_groups[0]["params"][0]
        start, velocity, expected = parameter.detach().clone(), None, 0.0
        for gradient in gradients:
            parameter.grad = torch.full_like(parameter, gradient)
            optimizer.step()
            velocity = gradient if velocity is None else 0.8 * velocity + 0.2 * gradient
            expected -= 0.1 * velocity
        moved = (parameter.detach() - start).flatten()
        torch.testing.assert_close(moved, torch.full_like(moved, expected), rtol=1e-4, atol=1e-6)


def test_adam_takes_the_momentum_for_its_first_beta():
    for optimizer in small(adam=True, momentum=0.25, lr=0.5).configure_optimizers():
        assert isinstance(optimizer, torch.optim.Adam)
        assert (optimizer.defaults["lr"], optimizer.defaults["betas"]) == (0.5, (0.25, 0.999))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"pyramid_levels": 4}, "model.pyramid_levels=4"),
        ({"level": 3}, "model.level=3"),
        ({"level": -1}, "model.level=-1"),
        ({"classes": 0}, "labels"),
    ],
)
def test_wrong_settings_are_refused(parameters, words):
    with pytest.raises(ValueError, match=words):
        small(**parameters)


def test_without_labels_nothing_depends_on_them():
    model = small(conditional=False, pyramid_levels=1).eval()
    assert model.needs == ("image",)
    assert not [name for name, _ in model.named_parameters() if "plane" in name]
    latent = model.prior(3)
    first = model.sample(3, {"latent": latent})
    assert torch.equal(first, model.sample(3, {"latent": latent, "label": torch.arange(3)}))
    assert list(model.figures(None)) == ["pyramid"]
    base, finest = model.generator1, model.generator0
    assert base.layers[0].in_features == model.hparams.latent_dim
    assert finest.layers[0].in_channels == 2  # noise and coarse image
    assert model.discriminator0.layers[0].in_channels == 1


def test_data_without_labels(tmp_path):
    """The batches have no label; all players learn, and what is measured needs no classes."""
    model, data = small(conditional=False, classes=0, pyramid_levels=1), Digits()
    data.classes = 0
    before = kit.weights(model)
    images = [{"image": batch()["image"]}] * 3
    trainer = kit.trainer(tmp_path, 3)
    trainer.fit(model, torch.utils.data.DataLoader(images, batch_size=None))
    after = kit.weights(model)
    assert all(not torch.equal(before[name], after[name]) for name in before if "weight" in name)
    with model.evaluating():
        names = model.measure(data, "test")
    assert {name.partition("_digits")[0] for name in names} >= {"fid_chain", "fid_refined"}
    assert "std_ratio0_200x32_test" in names
    assert not [name for name in names if name.startswith("accuracy")]


def test_figures_show_every_level_and_every_class():
    figures = small().eval().figures(None)
    assert figures["pyramid"].shape == (3, 8 * 52, 3 * 52)
    assert figures["classes"].shape == (3, 15 + 8 * 52, 10 * 52)  # below a line of heads


def test_a_level_learns_to_refine_real_digits(tmp_path):
    """Seconds of training leave less than half of the distance at which enlarging leaves them."""

    torch.manual_seed(0)
    data = Digits()
    recipe = {"lr": 2e-3, "momentum": 0.0, "adam": True, "dropout": 0.0}
    model = small(pyramid_levels=1, level=0, width=16, **recipe)
    kit.fit(model, tmp_path, 150, data)
    with model.evaluating():
        numbers = distances(model, data, "test")
    assert numbers["fid_refined_digits_360_test"] < numbers["fid_unrefined_digits_360_test"] / 2


def test_data_of_other_classes_are_not_measured():
    assert kit.build("lapgan", classes=3).measure(Digits(), "test") == {}
