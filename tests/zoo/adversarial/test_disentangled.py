"""Mathieu et al. 2016: what each part of the loss is, whom it reaches, and what the codes hold."""

import math

import pytest
import torch

from datamodules.digits import Digits
from datamodules.shapes import Shapes, draw
from tests import kit
from zoo import base
from zoo.adversarial.disentangled import Disentangled, reparametrize
from zoo.networks.mathieu2016 import Decoder, Discriminator, Encoder


def small(cls=Disentangled, **parameters):
    torch.manual_seed(0)
    shape = {"image_size": 8, "image_channels": 1, "classes": 3, "width": 4}
    return cls(**shape | {"identity_dim": 5, "latent_dim": 6} | parameters)


def batch(count=8, seed=0):
    draws = torch.Generator().manual_seed(seed)
    images = {
        name: torch.rand(count, 1, 8, 8, generator=draws) * 2 - 1
        for name in ("image", "partner", "other")
    }
    return images | {"label": torch.arange(count) % 3}


def test_the_reparametrisation_has_the_variance_exp_logvar():
    mean, logvar = torch.tensor([[1.0, -3.0]]), torch.tensor([[math.log(4.0), math.log(0.25)]])
    torch.manual_seed(0)
    samples = reparametrize(mean, logvar, torch.randn(100_000, 2))
    assert samples.mean(dim=0).tolist() == pytest.approx([1, -3], abs=0.03)
    assert samples.var(dim=0).tolist() == pytest.approx([4, 0.25], rel=0.02)


def test_the_decoder_knows_the_codes_by_the_sum_of_two_linear_maps_alone():
    decoder = Decoder(8, 1, 4, 5, 6).eval()
    identity, latent = torch.randn(3, 5), torch.randn(3, 6)
    image = decoder(identity, latent)
    total = decoder.identity(identity) + decoder.latent(latent)
    torch.testing.assert_close(decoder.image(total), image)
    other = torch.randn(3, 5)  # another identity, and a latent map that makes up for it
    with torch.no_grad():
        missing = decoder.identity(identity) - decoder.identity(other)
        decoder.latent = torch.nn.Identity()
        torch.testing.assert_close(decoder(other, total - decoder.identity(other)), image)
    assert missing.abs().max() > 0.1


def test_swapping_an_image_with_itself_is_reconstructing_it(monkeypatch):
    model, same = small().eval(), batch()
    same = same | {"partner": same["image"], "other": same["image"]}
    noise = torch.randn(8, 6)
    monkeypatch.setattr(Disentangled, "noise", lambda self, count: noise)
    parts = model.loss_terms(same)
    torch.testing.assert_close(parts["swap_loss"], parts["reconstruction_loss"])
    parts = model.loss_terms(batch())
    assert abs(parts["swap_loss"] - parts["reconstruction_loss"]) > 1e-4


class Codes(torch.nn.Module):
    """Images of one number, which is both parts of their code; there is no noise."""

    def forward(self, images):
        code = images.mean(dim=(1, 2, 3))[:, None]
        return code, code, torch.full_like(code, -100)


class Shown(torch.nn.Module):
    """Remembers what it decodes, s and z beside each other."""

    def forward(self, identity, latent):
        self.pairs = torch.cat([identity, latent], dim=1)
        return (identity - latent)[:, :, None, None].expand(-1, 1, 8, 8)


def constant(**numbers):
    return {name: torch.full((1, 1, 8, 8), value) for name, value in numbers.items()}


def test_what_is_swapped_with_what_and_compared_with_what():
    model = small(identity_dim=1, latent_dim=1)
    model.encoder, model.decoder = Codes(), Shown()
    given = constant(image=0.1, partner=0.3, other=0.6) | {"label": torch.tensor([2])}
    parts = model.loss_terms(given)
    expected = [(1, 1), (3, 3), (6, 6), (3, 1), (1, 3), (1, 6)]  # tenths of s and z
    assert (model.decoder.pairs * 10).round().tolist() == [list(map(float, e)) for e in expected]
    reconstruction = (0.1**2 + 0.3**2 + 0.6**2) / 3  # all decode to s - z = 0
    assert parts["reconstruction_loss"].item() == pytest.approx(reconstruction)
    swap = ((0.2 - 0.1) ** 2 + (-0.2 - 0.3) ** 2) / 2  # of z1 and s1', z1' and s1
    assert parts["swap_loss"].item() == pytest.approx(swap)
    model.discriminator_loss(given)
    assert (model.decoder.pairs * 10).round().tolist() == [[1, 6]], "the identity of image"


def test_the_loss_is_the_weighted_sum_of_its_parts():
    model = small(reconstruction_weight=2.0, swap_weight=3.0, adversarial_weight=5.0, kl_weight=7.0)
    names = ("reconstruction_loss", "swap_loss", "adversarial_loss", "kl")
    parts = {name: torch.tensor(10.0**power) for power, name in enumerate(names)}
    assert model.weighted_sum(parts).item() == pytest.approx(2 + 30 + 500 + 7000 / 64)


def test_only_real_images_have_the_smoothed_target(monkeypatch):
    model, given = small(label_smoothing=0.05), batch()
    logits = {}
    judge = Discriminator.forward

    def watched(self, images, label):
        logit = judge(self, images, label)
        logits["real" if images is given["image"] else "fake"] = logit.detach()
        return logit

    monkeypatch.setattr(Discriminator, "forward", watched)
    loss = model.discriminator_loss(given)
    assert list(logits) == ["real", "fake"], "the first call is on real images"
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = bce(logits["real"], torch.full((8,), 0.95)) + bce(logits["fake"], torch.zeros(8))
    torch.testing.assert_close(loss.detach(), expected)


def test_the_discriminators_turn_leaves_no_gradient_in_the_others():
    model = small()
    model.discriminator_loss(batch()).backward()
    assert all(p.grad is None for net in (model.encoder, model.decoder) for p in net.parameters())
    assert all(p.grad is not None for p in model.discriminator.parameters())


def test_the_adversarial_gradient_reaches_encoder_and_decoder():
    model = small()
    model.loss_terms(batch())["adversarial_loss"].backward()
    for linear in (model.encoder.identity, model.encoder.latent, model.decoder.identity):
        assert linear.weight.grad.abs().max() > 0
    assert model.encoder.maps[0][0].weight.grad.abs().max() > 0
    assert model.decoder.image[-2].weight.grad.abs().max() > 0


def test_encoder_and_decoder_want_swaps_to_be_taken_for_real_images_of_the_identity(monkeypatch):
    model, given, judged = small().eval(), batch(), []
    judge = Discriminator.forward

    def watched(self, images, label):
        judged.append((judge(self, images, label), label))
        return judged[-1][0]

    monkeypatch.setattr(Discriminator, "forward", watched)
    loss = model.loss_terms(given)["adversarial_loss"]
    ((logit, label),) = judged
    assert torch.equal(label, given["label"])
    torch.testing.assert_close(loss, -logit.sigmoid().log().mean())


def test_the_adversarial_part_judges_the_identity_it_borrowed():
    """Another label, another judgement; images of other batches do not matter."""
    discriminator = Discriminator(8, 1, 4, 3).eval()
    images = torch.rand(2, 1, 8, 8)
    one = discriminator(images, torch.tensor([0, 1]))
    assert one.shape == (2,)
    other = discriminator(images, torch.tensor([0, 2]))
    assert one[0] == other[0]
    assert one[1] != other[1]


def test_the_map_of_a_label_is_added_at_each_size():
    discriminator = Discriminator(32, 3, 8, 3).eval()
    assert len(discriminator.maps) == 3
    assert [maps.weight.shape for maps in discriminator.maps] == [(3, n * 16) for n in (4, 8, 16)]
    images, label = torch.rand(2, 3, 32, 32), torch.tensor([0, 1])
    before = discriminator(images, label)
    for maps in discriminator.maps:
        kept = maps.weight.detach().clone()
        with torch.no_grad():
            maps.weight[0] += 1
        changed = discriminator(images, label)
        assert changed[0] != before[0]
        assert changed[1] == before[1]
        with torch.no_grad():
            maps.weight.copy_(kept)


@pytest.mark.parametrize("weight", [0.0, 0.01])
def test_without_the_adversarial_weight_the_discriminator_does_not_matter(weight, tmp_path):
    def trained(scale):
        model = small(adversarial_weight=weight, classes=10)
        with torch.no_grad():
            for parameter in model.discriminator.parameters():
                parameter.mul_(scale)
        before = kit.weights(model.discriminator)
        kit.fit(model, tmp_path, 2)
        moved = any(
            not torch.equal(value, before[name])
            for name, value in model.discriminator.named_parameters()
        )
        return kit.weights(model.encoder), moved

    (one, moved), (other, _) = trained(1), trained(3)
    assert moved == bool(weight)
    same = all(torch.equal(one[name], other[name]) for name in one)
    assert same != bool(weight)


def test_the_networks_are_the_authors():
    """model_small.lua at 32x32, but for the full size: 32 to 128 maps, 64 and 2 x 512 numbers."""
    model = Disentangled()
    names = ("reconstruction_weight", "swap_weight", "adversarial_weight", "label_smoothing")
    assert [model.hparams[name] for name in names] == [0.5, 1.0, 0.01, 0.05]
    encoder, decoder = Encoder(32, 3, 32, 64, 512), Decoder(32, 3, 32, 64, 512)
    assert encoder.identity.weight.shape == (64, 128 * 16)
    assert encoder.latent.weight.shape == (1024, 128 * 16)
    assert decoder.identity.weight.shape == (128 * 16, 64)
    convs = [m for m in encoder.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [conv.out_channels for conv in convs] == [32, 64, 128]
    norms = [m for m in decoder.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert [norm.num_features for norm in norms] == [64, 32]
    maps = [table.embedding_dim for table in model.discriminator.maps]
    assert maps == [16 * 16, 32 * 16, 64 * 16]


def test_statistics_of_s_become_those_of_each_label():
    model = small(identity_dim=2)
    torch.manual_seed(0)
    means, deviations = torch.tensor([[1.0, -1], [5, 0], [0, 0]]), torch.tensor([0.5, 2.0, 1.0])
    for _ in range(600):
        label = torch.randint(3, (300,))
        model.update_statistics_(
            means[label] + deviations[label, None] * torch.randn(300, 2), label
        )
    samples = model.draw_identities(torch.arange(3).repeat_interleave(20_000)).unflatten(0, (3, -1))
    torch.testing.assert_close(samples.mean(dim=1), means, rtol=0, atol=0.05)
    expected = deviations[:, None].expand(3, 2)
    torch.testing.assert_close(samples.std(dim=1), expected, rtol=0.03, atol=0)


def test_samples_have_the_identity_of_the_condition():
    model = small().eval()
    model.update_statistics_(torch.randn(30, 5), torch.arange(30) % 3)
    seen = []
    model.decoder.register_forward_hook(lambda m, inputs, output: seen.append(inputs))
    image = torch.rand(4, 1, 8, 8)
    base.reseed(model.device, 0)
    model.sample(4, {"image": image, "label": torch.zeros(4, dtype=torch.long)})
    torch.testing.assert_close(seen[-1][0], model.encoder(image)[0])
    base.reseed(model.device, 0)
    torch.testing.assert_close(seen[-1][1], torch.randn(4, 6))
    label = torch.tensor([2, 2, 0, 1])
    base.reseed(model.device, 0)
    model.sample(4, {"label": label})
    base.reseed(model.device, 0)
    torch.testing.assert_close(seen[-1][0], model.draw_identities(label))
    latent = torch.randn(4, 11)
    model.sample(4, {"latent": latent})
    torch.testing.assert_close(torch.cat(seen[-1], dim=1), latent)


def test_data_without_labels_are_refused():
    with pytest.raises(ValueError, match="needs data with labels"):
        Disentangled(classes=0)


def test_figures_show_the_inputs(tmp_path):
    model, data = small(), kit.Toy()
    with model.evaluating():
        figures = model.figures(data)
        assert model.figures(None) == {}
    assert set(figures) == {"swaps", "interpolations"}
    for figure in figures.values():
        assert figure.dtype == torch.uint8
        assert figure.shape[0] == 3


def test_it_learns_to_swap_shapes(tmp_path):
    """Seconds of training bring swaps nearer to the true image than either image is."""
    data = Shapes(batch_size=16, val_count=0)
    torch.manual_seed(0)
    parameters = {"identity_dim": 8, "latent_dim": 16, "width": 16, "lr": 3e-3, "kl_weight": 1.0}
    model = Disentangled(16, 3, 12, adversarial_weight=0.0, **parameters)
    kit.fit(model, tmp_path, 250, data)
    known = {name: values[:200] for name, values in data.attributes("test").items()}
    other = {name: values.roll(1) for name, values in known.items()}
    swapped = known | {name: other[name] for name in ("shape", "color")}
    first, second, truth = (draw(of, 16) / 127.5 - 1 for of in (known, other, swapped))
    with model.evaluating():
        decoded = model.decoder(model.encoder(second)[0], model.encoder(first)[1])
    errors = [(image - truth).square().mean().item() for image in (decoded, first, second)]
    assert errors[0] < 0.6 * min(errors[1:])


def test_data_of_other_classes_are_not_measured():
    assert kit.build("disentangled", classes=3).measure(Digits(), "test") == {}


def test_the_statistics_stay_in_float32(tmp_path):
    """In bfloat16 they would not change by 1 % of a small difference."""
    model = kit.build("disentangled")
    kit.fit(model, tmp_path, 2, precision="bf16-true")
    assert model.statistics.dtype == torch.float32
    assert not torch.equal(model.statistics, model.statistics.bfloat16().float())
    assert model.prior(3).dtype == model.dtype == torch.bfloat16
