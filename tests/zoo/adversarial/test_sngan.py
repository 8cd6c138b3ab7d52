"""Miyato et al. 2018, and the projection of Miyato and Koyama: losses, Lipschitz bound, labels."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from callbacks.ema import EMA
from callbacks.metrics import Metrics
from datamodules.digits import Digits
from tests import kit
from zoo.adversarial.gan import GAN
from zoo.adversarial.sngan import SNGAN
from zoo.media.images import to_uint8

SHAPE = {"image_size": 8, "image_channels": 1, "latent_dim": 4, "width": 8}
NETWORKS = ["resnet", "dcgan", "mlp"]


def small(cls=SNGAN, **parameters):
    return cls(**SHAPE | {"network": "mlp"} | parameters)


def projecting(**parameters):
    torch.manual_seed(0)
    return small(network="resnet", conditional=True, classes=3, **parameters)


def images(count, seed=0):
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


class Mean(nn.Module):
    """A discriminator that scores an image by the mean of its pixels, up to a factor."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, images):
        return self.scale * images.flatten(1).mean(dim=1)


class Constant(nn.Module):
    """A generator of one image, of pixels that are all `value`."""

    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, latent):
        return self.value.expand(len(latent), 1, 8, 8)


def losses(**parameters):
    """Those of the players, where real images are scored 0.5 and generated ones -0.25."""
    model = small(dequantize=False, **parameters)
    model.discriminator, model.generator = Mean(), Constant(-0.25)
    batch = {"image": torch.full((4, 1, 8, 8), 0.5)}
    return model.discriminator_loss(batch).item(), model.generator_loss(batch).item()


def test_the_hinge_by_hand():
    """max(0, 1 - 0.5) + max(0, 1 - 0.25), and minus the generated score."""
    assert losses() == (1.25, 0.25)


def test_the_non_saturating_losses_by_hand():
    logits = torch.tensor([0.5, -0.25])
    real, fake = logits.sigmoid()
    discriminator, generator = losses(hinge=False)
    assert discriminator == pytest.approx((-real.log() - (1 - fake).log()).item(), rel=1e-5)
    assert generator == pytest.approx(-fake.log().item(), rel=1e-5)


@pytest.mark.parametrize("hinge", [True, False])
@pytest.mark.parametrize("conditional", [True, False])
def test_the_discriminators_turn_leaves_the_generator_unchanged(hinge, conditional):
    torch.manual_seed(0)
    model = small(network="resnet", hinge=hinge, conditional=conditional, classes=3)
    batch = {"image": torch.rand(4, 1, 8, 8), "label": torch.arange(4) % 3}
    seen = []
    model.discriminator.register_forward_pre_hook(lambda player, given: seen.append(given[0]))
    model.discriminator_loss(batch).backward()  # two passes, each with a power iteration
    assert all(p.grad is None for p in model.generator.parameters())
    assert all(p.grad is not None for p in model.discriminator.parameters())
    assert (seen[0] - batch["image"]).abs().max() < 0.01, "real images are judged first"
    assert len(seen) == 2


@pytest.mark.parametrize("dequantize", [True, False])
def test_the_discriminator_sees_real_images_spread_over_their_bins(dequantize):
    torch.manual_seed(0)
    model = small(dequantize=dequantize)
    levels, seen = torch.randint(256, (16, 1, 8, 8), dtype=torch.uint8), []
    model.discriminator.register_forward_pre_hook(lambda player, given: seen.append(given[0]))
    batch = {"image": levels / 127.5 - 1}
    model.discriminator_loss(batch)
    assert torch.equal(to_uint8(seen[0]), levels)
    assert torch.equal(seen[0], batch["image"]) != dequantize
    assert torch.equal(to_uint8(batch["image"]), levels), "the batch is as it was"


def test_adam_and_the_rates_of_the_players():
    optimizers = small(discriminator_lr=0.25, lr=0.5).configure_optimizers()
    assert [o.defaults["lr"] for o in optimizers] == [0.25, 0.5]
    for optimizer in optimizers:
        assert optimizer.defaults["betas"] == (0.0, 0.9)
        assert all(type(beta) is float for beta in optimizer.defaults["betas"])


def test_the_rates_are_0_after_the_last_batch(tmp_path):
    rates = []

    class Watched(SNGAN):
        def discriminator_loss(self, batch):
            rates.append([o.param_groups[0]["lr"] for o in self.optimizers()])
            return super().discriminator_loss(batch)

    model = small(Watched, lr=1.0, discriminator_steps=5, decay=20)
    run = kit.fit(model, tmp_path, 20, kit.Toy(count=28))
    discriminator, generator = zip(*rates, strict=True)
    assert discriminator == pytest.approx([1 - batch / 20 for batch in range(20)])
    assert generator == pytest.approx([1 - batch // 5 / 4 for batch in range(20)])
    assert [o.param_groups[0]["lr"] for o in run.optimizers] == [0, 0]


@pytest.mark.parametrize("network", NETWORKS)
def test_every_weight_has_norm_one_once_trained_and_no_batch_norm_undoes_it(network, tmp_path):
    """In training the iterates follow the weights; on weights that stand they arrive."""
    torch.manual_seed(0)
    model = small(network=network, discriminator_lr=1e-3)
    kit.fit(model, tmp_path, 50)
    layers = [m for m in model.discriminator.modules() if hasattr(m, "parametrizations")]
    plain = (nn.Linear, nn.Conv2d)
    assert len(layers) == sum(isinstance(m, plain) for m in model.discriminator.modules())

    def largest():
        model.discriminator.eval()
        matrices = [layer.weight.detach().flatten(1) for layer in layers]
        return [torch.linalg.svdvals(matrix)[0].item() for matrix in matrices]

    assert largest() == pytest.approx([1] * len(layers), abs=0.1)
    for _ in range(150):
        model.discriminator.train()(images(1))
    assert largest() == pytest.approx([1] * len(layers), abs=1e-2)
    assert not any("BatchNorm" in type(m).__name__ for m in model.discriminator.modules())


def slopes(model, pairs):
    """|f(x) - f(y)| / ‖x - y‖ of pairs of images."""
    with torch.no_grad(), model.evaluating():
        one, two = (model.discriminator(images) for images in pairs)
    return (one - two).abs() / (pairs[0] - pairs[1]).flatten(1).norm(dim=1)


def bound_and_slopes(model, folder):
    """The product of the trained layers' norms, and the steepest slopes: real to fake, nearby."""
    data = Digits()
    kit.fit(model, folder, 150, data)
    model.eval()
    layers = [m for m in model.discriminator.modules() if isinstance(m, nn.Linear)]
    norms = [torch.linalg.svdvals(layer.weight.detach())[0] for layer in layers]
    real = data.source("test")[torch.arange(256)]["image"] / 127.5 - 1
    others = model.sample(256).detach(), real + 1e-2 * images(256)
    steepest = [slopes(model, (real, other)).max().item() for other in others]
    return torch.stack(norms).prod().item(), steepest


STEEP = {"width": 32, "discriminator_lr": 1e-3, "discriminator_steps": 1}


@pytest.mark.parametrize("hinge", [True, False])
def test_the_trained_discriminator_is_lipschitz(hinge, tmp_path):
    torch.manual_seed(0)
    bound, steepest = bound_and_slopes(small(**STEEP, hinge=hinge), tmp_path)
    assert bound == pytest.approx(1, abs=0.1)
    assert max(steepest) <= bound * (1 + 1e-5)
    assert min(steepest) > 0.05, "it has learnt to tell the images apart"


def test_without_the_norm_it_is_not(tmp_path):
    torch.manual_seed(0)
    bound, steepest = bound_and_slopes(small(GAN, **STEEP), tmp_path)
    assert 1.5 < max(steepest) <= bound


def test_projection_of_nothing_is_the_unconditional_discriminator():
    """f(x, y) = ψ(φ(x)) + <v_y, φ(x)>: with V = 0, the same weights without labels."""
    model = projecting().eval()
    plain = small(network="resnet").eval()
    state = model.discriminator.state_dict()
    embedding = {key: state.pop(key) for key in list(state) if key.startswith("embedding")}
    assert embedding
    plain.discriminator.load_state_dict(state)
    label = torch.arange(6) % 3
    nn.utils.parametrize.remove_parametrizations(model.discriminator.embedding, "weight")
    with torch.no_grad():
        model.discriminator.embedding.weight.zero_()
    logits = model.discriminator(images(6), label)
    torch.testing.assert_close(logits, plain.discriminator(images(6)))


def test_labels_differ_by_the_projection_of_the_features():
    """f(x, y) - f(x, y') = <v_y - v_y', φ(x)>, with the v of the normalized embedding."""
    discriminator = projecting().discriminator.eval()
    kept = []
    discriminator.linear.register_forward_hook(lambda layer, given, logit: kept.append(given[0]))
    one, other = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 1, 0, 2])
    difference = discriminator(images(4), one) - discriminator(images(4), other)
    vectors = discriminator.embedding.weight
    expected = ((vectors[one] - vectors[other]) * kept[0]).sum(dim=1)
    torch.testing.assert_close(difference, expected)
    assert difference[1] == 0
    assert difference[[0, 2, 3]].abs().min() > 1e-4
    assert torch.linalg.svdvals(vectors)[0].item() == pytest.approx(1, abs=1e-2)


def test_both_players_are_given_the_labels_of_the_batch():
    model = projecting()
    asked, judged = [], []
    model.generator.register_forward_pre_hook(lambda player, given: asked.append(given[1]))
    model.discriminator.register_forward_pre_hook(lambda player, given: judged.append(given[1]))
    batch = {"image": images(4), "label": torch.tensor([2, 0, 1, 1])}
    model.discriminator_loss(batch)
    model.generator_loss(batch)
    assert len(asked) == 2
    assert len(judged) == 3
    assert all(torch.equal(label, batch["label"]) for label in asked + judged)


def test_without_a_batch_the_labels_are_drawn_from_all_classes():
    model, samples = projecting(), []
    model.generator.register_forward_pre_hook(lambda player, given: samples.append(given[1]))
    model.sample(200)
    assert samples[0].unique().tolist() == [0, 1, 2]


def test_what_a_conditional_model_needs():
    assert "label" in projecting().needs
    assert "label" not in small().needs
    with pytest.raises(ValueError, match=r"needs model.network=resnet"):
        small(conditional=True, classes=3)
    with pytest.raises(ValueError, match="needs data with labels"):
        small(network="resnet", conditional=True)


def test_only_a_conditional_model_has_classes_to_measure_and_to_show():
    data = Digits()
    assert (small().measure(data, "test"), small().figures(data)) == ({}, {})
    model = small(network="resnet", conditional=True, classes=10)
    with model.evaluating():
        numbers, figures = model.measure(data, "test"), model.figures(data)
    assert sorted(name.partition("_1k")[0] for name in numbers) == [
        "accuracy_of_samples_digits",
        "accuracy_trained_on_samples",
    ]
    assert list(figures) == ["classes"]


def test_the_defaults_are_the_papers():
    model = SNGAN()
    expected = {"lr": 2e-4, "beta1": 0.0, "beta2": 0.9, "discriminator_steps": 5, "hinge": True}
    expected |= {"latent_dim": 128, "width": 128, "network": "resnet", "image_size": 32}
    assert {name: model.hparams[name] for name in expected} == expected
    assert model.generator.last.in_channels == 256, "twice the discriminator's"
    assert model.discriminator.linear.in_features == 128


def test_it_learns_real_digits(tmp_path):
    """Seconds of training bring the distance to the digits to a third of the untrained one."""
    torch.manual_seed(0)
    settings = {"network": "dcgan", "width": 16, "latent_dim": 16, "lr": 2e-3}
    model = small(**settings, discriminator_steps=1)
    kit.fit(model, tmp_path, 150, Digits(), callbacks=[EMA(decay=0.95), Metrics(0, 1000)])
    untrained, trained = model.results["val/fid_digits_1k"].values()
    assert trained < untrained / 3


class Shades(kit.Toy):
    """Dark images of class 0, bright ones of class 1, with noise."""

    classes = 2

    def load(self, split):
        label = torch.arange(256) % 2
        images = torch.randint(0, 64, (256, 1, 8, 8)) + 128 * label[:, None, None, None]
        return images.to(torch.uint8), label


def test_it_learns_what_a_label_asks_for(tmp_path):
    torch.manual_seed(0)
    settings = {"network": "resnet", "classes": 2, "conditional": True, "lr": 1e-3}
    model = small(**settings, discriminator_steps=1)

    def contrast():
        with torch.no_grad(), model.evaluating():
            dark, bright = (model.sample(64, {"label": torch.full((64,), y)}) for y in (0, 1))
        return (bright.mean() - dark.mean()).item()

    assert abs(contrast()) < 0.2
    kit.fit(model, tmp_path, 100, Shades(batch_size=32))
    assert contrast() > 0.5  # in the data it is 1


def test_spectral_norm_can_be_turned_off_or_be_the_networks_own():
    shape = {"image_size": 8, "image_channels": 1, "width": 4, "network": "dcgan"}
    plain = SNGAN(**shape, spectral_norm=False).discriminator
    assert not any("parametrizations" in name for name, _ in plain.named_parameters())

    class Own(SNGAN):
        def build_discriminator(self):
            return nn.Sequential(nn.Flatten(), spectral_norm(nn.Linear(64, 1)), nn.Flatten(0))

    network = Own(**shape).discriminator
    assert len(network[1].parametrizations.weight) == 1
