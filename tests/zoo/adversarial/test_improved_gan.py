"""Salimans et al. 2016: each technique in closed form, and few labels that unlabeled data help."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from callbacks.metrics import Metrics
from datamodules.digits import Digits
from tests import kit
from zoo.adversarial.improved_gan import ImprovedGAN, feature_matching_loss, real_logit
from zoo.losses import gan_discriminator_loss
from zoo.networks.salimans2016_layers import VirtualBatchNorm


def small(**parameters):
    shape = {"image_size": 8, "image_channels": 1, "latent_dim": 8, "width": 32}
    return ImprovedGAN(**shape | parameters)


def batch_of(count=6):
    image = lambda: 2 * torch.rand(count, 1, 8, 8) - 1  # noqa: E731
    label = torch.arange(count) % 10
    return {"image": image(), "labeled_image": image(), "labeled_label": label}


class Fixed(nn.Module):
    """A discriminator whose logits and features are the pixels, times `scale`."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, images):
        pixels = self.scale * images.flatten(1)
        return pixels[:, :10], pixels


def test_equal_means_match_whatever_the_pairs():
    real = torch.randn(8, 5)
    assert feature_matching_loss(real, real[torch.randperm(8)]).item() < 1e-10
    other = torch.randn(20, 5)
    other += real.mean(dim=0) - other.mean(dim=0)
    assert feature_matching_loss(real, other).item() < 1e-10
    shift = torch.tensor([3.0, -4.0, 0.0, 0.0, 0.0])
    assert feature_matching_loss(real, real + shift).item() == pytest.approx(25 / 5, rel=1e-4)
    absolute = feature_matching_loss(real, real + shift, power=1)
    assert absolute.item() == pytest.approx(7 / 5, rel=1e-4)


def test_feature_matching_over_processes_is_that_of_the_whole_batch():
    """Means of 2 processes: value and averaged gradient are those of one batch."""
    real, fake = torch.randn(8, 5), torch.randn(8, 5, requires_grad=True)
    whole = feature_matching_loss(real, fake)
    (expected,) = torch.autograd.grad(whole, fake)
    difference = (real.mean(dim=0) - fake.mean(dim=0)).detach()
    gradient = torch.zeros(8, 5)
    for rank in (0, 1):
        loss = feature_matching_loss(real[rank::2], fake[rank::2], lambda own: difference)
        torch.testing.assert_close(loss, whole)
        gradient += torch.autograd.grad(loss, fake)[0] / 2
    torch.testing.assert_close(gradient, expected)


def test_k_logits_are_an_explicit_softmax_with_a_logit_of_zero_for_generated_images():
    torch.manual_seed(0)
    leaves = [(4 * torch.randn(9, 10, dtype=torch.float64)).requires_grad_() for _ in range(3)]
    labels = torch.arange(9)

    def ours(real, fake, labeled):
        pair = gan_discriminator_loss(real_logit(real), real_logit(fake))
        return cross_entropy(labeled, labels) + pair / 2

    def explicit(real, fake, labeled):
        chances = [torch.cat([x, torch.zeros(9, 1)], dim=1).softmax(dim=1) for x in (real, fake)]
        known = labeled.exp() / labeled.exp().sum(dim=1, keepdim=True)
        supervised = -known[torch.arange(9), labels].log().mean()
        is_real, is_fake = (1 - chances[0][:, 10]).log().mean(), chances[1][:, 10].log().mean()
        return supervised - (is_real + is_fake) / 2

    one, other = ours(*leaves), explicit(*leaves)
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    for a, b in zip(
        torch.autograd.grad(one, leaves), torch.autograd.grad(other, leaves), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_the_identities_of_the_authors_code():
    """-log D = softplus(lse) - lse and -log(1 - D) = softplus(lse), finite for any logit."""
    logits = torch.tensor([[0.3, -1.0, 2.0], [300.0, 1.0, 0.0], [-300.0, -301.0, -299.0]])
    lse = real_logit(logits)
    ours = gan_discriminator_loss(lse, lse) / 2
    authors = (-lse.mean() + softplus(lse).mean() + softplus(lse).mean()) / 2
    torch.testing.assert_close(ours, authors)
    z = logits[0].exp().sum()
    assert torch.sigmoid(lse[0]).item() == pytest.approx((z / (z + 1)).item())


def test_the_discriminators_loss_is_the_papers():
    model, batch = small(unlabeled_weight=0.7, label_smoothing=0.1), batch_of()
    model.discriminator = Fixed()
    torch.manual_seed(3)
    with torch.no_grad():
        fake = model.sample(6)
    torch.manual_seed(3)
    loss = model.discriminator_loss(batch)
    real, fake = (real_logit(images.flatten(1)[:, :10]) for images in (batch["image"], fake))
    unsupervised = -(0.9 * real - softplus(real)).mean() / 2 + softplus(fake).mean() / 2
    known = batch["labeled_image"].flatten(1)[:, :10]
    expected = cross_entropy(known, batch["labeled_label"]) + 0.7 * unsupervised
    torch.testing.assert_close(loss, expected)


def test_the_control_learns_from_the_labeled_images_alone():
    model, batch = small(unlabeled_weight=0.0).eval(), batch_of()

    def gradient(images):
        model.zero_grad()
        model.discriminator_loss(batch | {"image": images}).backward()
        return [p.grad.clone() for p in model.discriminator.parameters()]

    for one, other in zip(gradient(batch["image"]), gradient(-batch["image"]), strict=True):
        assert torch.equal(one, other)
    logits, _ = model.discriminator(batch["labeled_image"])
    expected = cross_entropy(logits, batch["labeled_label"])
    torch.testing.assert_close(model.discriminator_loss(batch), expected)


def test_smoothing_touches_real_images_only():
    model, batch = small(label_smoothing=0.25), batch_of()
    plain = small()
    plain.load_state_dict(model.state_dict())

    def difference(**change):
        losses = []
        for one in (model, plain):
            torch.manual_seed(0)
            losses.append(one.eval().discriminator_loss(batch | change))
        return losses[0] - losses[1]

    # softplus(t) - softplus(-t) = t: smoothing by s adds s t / 2 for the logit t of a real image.
    real = real_logit(model.eval().discriminator(batch["image"])[0])
    torch.testing.assert_close(difference(), 0.25 * real.mean() / 2)
    torch.testing.assert_close(difference(labeled_image=-batch["labeled_image"]), difference())
    torch.manual_seed(5)
    nn.init.normal_(model.generator[0].weight)  # other generated images: the same difference
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(difference(), 0.25 * real.mean() / 2)


def test_the_generator_matches_features_and_the_discriminator_is_fixed_for_real_ones():
    model, batch = small(), batch_of()
    model.discriminator = Fixed()
    torch.manual_seed(3)
    with torch.no_grad():
        fake = model.sample(6)
    torch.manual_seed(3)
    loss = model.generator_loss(batch)
    expected = (batch["image"].mean(dim=0) - fake.mean(dim=0)).square().mean()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(p.grad is not None for p in model.generator.parameters())
    keyed_permutation = batch | {"image": batch["image"].flip(0)}
    torch.manual_seed(3)
    torch.testing.assert_close(model.generator_loss(keyed_permutation), expected)


@pytest.mark.parametrize("saturating", [True, False])
def test_without_feature_matching_the_objective_is_gans(saturating):
    model, batch = small(feature_matching=False, saturating=saturating).eval(), batch_of()
    torch.manual_seed(3)
    with torch.no_grad():
        logit = model.discriminate(model.sample(6), batch)
    torch.manual_seed(3)
    expected = -softplus(logit) if saturating else softplus(-logit)
    torch.testing.assert_close(model.generator_loss(batch), expected.mean())


@pytest.mark.parametrize("matching", [True, False])
def test_historical_averaging_is_a_term_of_both_players(matching):
    given = {"feature_matching": matching}
    model, plain = (small(historical_averaging=h, **given).eval().double() for h in (0.5, 0.0))
    batch = {k: v.double() if k.endswith("image") else v for k, v in batch_of().items()}
    plain.load_state_dict(model.state_dict(), strict=False)
    assert plain.historical_term("generator") == 0.0
    for player in ("discriminator", "generator"):
        for moved in (0.0, 0.2):  # the mean is half of the move behind
            with torch.no_grad():
                for weight in getattr(model, player).parameters():
                    weight += moved
            plain.load_state_dict(model.state_dict(), strict=False)
            losses = []
            for one in (model, plain):
                torch.manual_seed(0)
                losses.append(getattr(one, f"{player}_loss")(batch).item())
            count = sum(p.numel() for p in getattr(model, player).parameters())
            expected = 0.5 * count * (moved / 2) ** 2
            assert losses[0] - losses[1] == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_a_virtual_batch_norm_generator_draws_one_image_from_one_latent():
    torch.manual_seed(0)
    latent, other = torch.rand(6, 8), torch.rand(6, 8)
    other[0] = latent[0]
    model = small(reference_batch=16)
    same = [model.sample(6, {"latent": z})[0] for z in (latent, other)]
    assert torch.equal(*same), "in training mode, too"
    assert model.generator.reference.shape == (16, 8)
    usual = [small().sample(6, {"latent": z})[0] for z in (latent, other)]
    assert not torch.equal(*usual)


TECHNIQUES = {
    "minibatch discrimination": {"minibatch_kernels": 5, "feature_matching": False},
    "historical averaging": {"historical_averaging": 0.1},
    "virtual batch norm": {"reference_batch": 8},
    "smoothing and decay": {"label_smoothing": 0.1, "decay": 6},
}


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_with_each_technique_resuming_is_bit_exact(technique, tmp_path):
    def run(steps, checkpoint=None):
        torch.manual_seed(0)
        model = small(**TECHNIQUES[technique])
        data = kit.Toy(labels=20, batch_size=8)
        fitted = kit.fit(model, tmp_path, steps, data, checkpoint=checkpoint)
        fitted.save_checkpoint(tmp_path / "last.ckpt")
        return kit.weights(model)

    straight = run(6)
    run(3)
    kit.assert_same(run(6, tmp_path / "last.ckpt"), straight)


def test_decay_lowers_both_rates_in_the_last_third():
    model = small(decay=12, discriminator_steps=2)
    optimizers, schedules = model.configure_optimizers()
    for optimizer, schedule, steps in zip(optimizers, schedules, (12, 6), strict=True):
        rates = []
        for _ in range(steps + 1):
            rates.append(optimizer.param_groups[0]["lr"] / 3e-3)
            optimizer.step()
            schedule.step()
        third = steps // 3
        expected = [1.0] * (2 * third) + [1 - i / third for i in range(third)] + [0.0]
        assert rates == pytest.approx(expected)


def test_noise_is_uniform():
    latent = small(latent_dim=50).prior(400)
    assert 0 <= latent.min() < 0.01
    assert 0.99 < latent.max() <= 1
    assert latent.std().item() == pytest.approx(12**-0.5, rel=0.02)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"model.network=resnet: choose one of mlp, conv"):
        small(network="resnet")
    with pytest.raises(ValueError, match="needs data with labels"):
        small(classes=0)


def test_the_defaults_are_the_authors_for_mnist():
    model = ImprovedGAN()
    expected = {"lr": 3e-3, "beta1": 0.5, "latent_dim": 100, "width": 1000}
    assert {name: model.hparams[name] for name in expected} == expected
    assert model.generator[0].out_features == 500
    assert (
        ImprovedGAN(image_size=32, image_channels=3, network="conv", width=96)
        .generator[0]
        .out_features
        == 16 * 512
    )


def test_training_begins_with_what_500_images_set_and_only_once(tmp_path):
    """At a rate of 0 what is left is what was set, with noise: logits of mean 0 and variance 1."""
    model, data = small(lr=0.0), Digits(labels=20)
    kit.fit(model, tmp_path, 1, data)
    images = data.source("train")[torch.arange(500)]["image"] / 127.5 - 1
    with torch.no_grad():
        logits = torch.cat([model.train().discriminator(images)[0] for _ in range(20)])
        quiet, _ = model.eval().discriminator(images)
    assert logits.mean(dim=0).abs().max() < 0.15
    assert logits.var(dim=0).tolist() == pytest.approx([1.0] * 10, rel=0.2)
    assert quiet.var() < 0.8 * logits.var()
    before = kit.weights(model)
    with torch.no_grad():
        model.discriminator.head[-1].bias += 1
    kit.fit(model, tmp_path, 1, data)
    after = kit.weights(model)
    changed = [
        k for k in before if not k.startswith("gen") and not torch.equal(before[k], after[k])
    ]
    assert changed == ["discriminator.head.1.bias"], "a trained model is left as it is"


def test_what_data_set_is_the_runs_seeds(tmp_path):
    gains = []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        model = small(lr=0.0)
        kit.fit(model, tmp_path, 1, Digits(labels=20), seed)
        gains.append(model.discriminator.head[-1].parametrizations.weight.original0.clone())
    assert torch.equal(gains[0], gains[1])
    assert not torch.equal(gains[0], gains[2])


def test_a_convolutional_generator_is_settled_too_and_matches_absolute_differences(tmp_path):
    model = kit.build("improved_gan", network="conv", lr=0.0)
    kit.fit(model, tmp_path, 1, Digits(labels=20))
    images = model.sample(200)
    assert images.std().item() == pytest.approx(0.1, rel=0.2)
    batch = batch_of(50)
    model.discriminator = Fixed()
    torch.manual_seed(3)
    with torch.no_grad():
        fake = model.sample(50)
    torch.manual_seed(3)
    expected = (batch["image"].mean(dim=0) - fake.mean(dim=0)).abs().mean()
    torch.testing.assert_close(model.generator_loss(batch), expected)


def test_adams_epsilon_is_the_authors():
    """A gradient of 1e-5 moves a weight by a tenth of the rate or less, as in their code."""
    for optimizer in small().configure_optimizers()[0:2]:
        parameter = optimizer.param_groups[0]["params"][0]
        before = parameter.detach().clone()
        parameter.grad = torch.full_like(parameter, 1e-5)
        optimizer.step()
        authors = 3e-3 * 1e-5 / (1e-10 + 1e-8) ** 0.5
        moved = (before - parameter.detach()).mean().item()
        assert authors / 2**0.5 < moved < authors


def test_accuracy_is_measured_without_noise_on_all_test_images():
    model, data = small(), Digits(labels=20)
    with model.evaluating():
        accuracy = model.measure(data, "test")["accuracy_test"]
        assert model.measure(data, "test")["accuracy_test"] == accuracy
    everything = data.source("test")[torch.arange(360)]
    with torch.no_grad():
        logits, _ = model.eval().discriminator(everything["image"] / 127.5 - 1)
    expected = (logits.argmax(dim=1) == everything["label"]).double().mean().item()
    assert accuracy == pytest.approx(expected)


def test_it_learns_to_read_and_to_write_digits_from_twenty_labels(tmp_path):
    """Seconds of training: chance is 0.1 of the test images; the generator matches features."""
    torch.manual_seed(0)
    model, data = small(width=128, latent_dim=32), Digits(batch_size=100, labels=20)
    watching = [Metrics(every=0, count=500)]
    kit.fit(model, tmp_path, 250, data, callbacks=watching)
    assert list(model.results["test/accuracy_test"].values())[-1] > 0.7
    untrained, trained = model.results["val/fid_digits_500"].values()
    assert trained < 0.7 * untrained


def test_the_rates_count_groups_of_batches():
    """After decay / accumulate of its steps a player's rate is 0; it stands for two thirds."""
    model = kit.build("improved_gan", decay=12, accumulate=2, discriminator_steps=2)
    optimizers, schedules = model.configure_optimizers()
    for optimizer, schedule, last in zip(optimizers, schedules, (6, 3), strict=True):
        rates = []
        for _ in range(last + 1):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        assert rates[last * 2 // 3] == rates[0] > 0
        assert rates[-1] == 0


def test_data_of_other_classes_are_not_classified():
    assert kit.build("improved_gan", classes=3).measure(Digits(), "test") == {}


@pytest.mark.parametrize("size", [8, 28, 32])
def test_the_convolutional_networks_take_small_images(size):
    model = kit.build("improved_gan", size, network="conv")
    logits, _ = model.discriminator(model.sample(2))
    assert logits.shape == (2, 10)


def test_virtual_batch_norm_is_exact_in_half_precision():
    """A mean far above the deviation: the variance is what is left of two large numbers."""
    norm = VirtualBatchNorm(4, reference=8)
    examples = (4 + 0.05 * torch.randn(16, 4)).bfloat16()
    torch.testing.assert_close(norm(examples).float(), norm(examples.float()), rtol=0.01, atol=0.01)
