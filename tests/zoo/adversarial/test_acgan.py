"""The two terms of Odena, Olah, Shlens 2017 for each player, and which networks they reach."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from tests import kit
from zoo.adversarial.acgan import ACGAN
from zoo.networks.dropout import Dropout

SURE = 60.0  # a logit beyond which a softmax in float32 is 0 or 1


class As(nn.Module):
    """A network that is a function."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


def small(**parameters):
    shape = {"image_size": 8, "image_channels": 1, "latent_dim": 4, "width": 4, "dropout": 0.0}
    torch.manual_seed(0)
    return ACGAN(**shape | parameters)


def constant(values):
    """Images (N, 1, 8, 8) of these values (N,)."""
    return values.float().view(-1, 1, 1, 1).expand(-1, 1, 8, 8)


class Reads(nn.Module):
    """Takes an image of a constant k / 10 for class k, all at odds; the source logit is `logit`."""

    def __init__(self, logit=0.0, scale=SURE):
        super().__init__()
        self.logit, self.scale = logit, scale
        self.passes = []

    def forward(self, images):
        self.passes.append(images)
        seen = (images.mean(dim=(1, 2, 3)) * 10).round().long().clamp(0, 9)
        source = torch.full((len(images),), self.logit)
        return source, self.scale * nn.functional.one_hot(seen, 10).float()


def playing(real_shift=0, fake_shift=0, scale=SURE, **parameters):
    """A model whose images are constant, and a batch; a shift makes those of another class."""
    model = small(**parameters)
    model.discriminator = Reads(scale=scale)

    def generator(inputs):
        label = inputs[:, model.hparams.latent_dim :].argmax(dim=1)
        return constant(((label + fake_shift) % 10) / 10)

    model.generator = As(generator)
    label = torch.arange(20) % 10
    return model, {"image": constant(((label + real_shift) % 10) / 10), "label": label}


CHANCE = 2 * math.log(2)  # -L_S of a discriminator that is not sure


def test_the_class_loss_of_a_perfect_classifier_is_zero():
    """A softmax before the cross-entropy would leave 1.461 nats of it for each term."""
    model, batch = playing()
    assert model.discriminator_loss(batch).item() == pytest.approx(CHANCE, abs=1e-6)
    assert model.generator_loss(batch).item() == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.parametrize(
    ("real_shift", "fake_shift"), [(1, 0), (0, 1), (1, 1)], ids=["real", "fake", "both"]
)
@pytest.mark.parametrize("class_weight", [1.0, 0.25])
def test_the_discriminators_loss_has_a_class_term_of_real_and_one_of_fake(
    real_shift, fake_shift, class_weight
):
    """Each image of a wrong class costs log(9 + e^5) nats: its own logit is 0, another's 5."""
    model, batch = playing(real_shift, fake_shift, scale=5.0, class_weight=class_weight)
    right = math.log(9 + math.exp(5)) - 5
    terms = [right + 5 * shift for shift in (real_shift, fake_shift)]
    expected = CHANCE + class_weight * sum(terms)
    assert model.discriminator_loss(batch).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("class_weight", [1.0, 0.25])
def test_the_generators_loss_has_the_class_term_of_fakes_alone(class_weight):
    right = math.log(9 + math.exp(5)) - 5
    for real_shift, fake_shift in ((0, 0), (0, 1), (1, 0)):
        model, batch = playing(real_shift, fake_shift, scale=5.0, class_weight=class_weight)
        expected = math.log(2) + class_weight * (right + 5 * fake_shift)
        assert model.generator_loss(batch).item() == pytest.approx(expected, rel=1e-5)


def test_the_real_images_are_the_first_that_the_discriminator_sees_in_its_turn():
    model, batch = playing()
    model.discriminator_loss(batch)
    assert torch.equal(model.discriminator.passes[0], batch["image"])
    assert len(model.discriminator.passes) == 2


def test_both_players_want_the_class_named_and_are_at_odds_about_the_source():
    """The derivatives by the fakes' logits: of the class equal, of the source opposite in sign."""
    batch = {"image": constant(torch.zeros(4)), "label": torch.tensor([0, 1, 2, 3])}

    def derivatives(objective):
        model = small()
        source = torch.zeros(4, requires_grad=True)
        classes = torch.zeros(4, 10, requires_grad=True)
        real = torch.zeros(4), torch.zeros(4, 10)
        model.generator = As(lambda inputs: constant(torch.ones(len(inputs))))
        model.discriminator = As(lambda images: (source, classes) if images.any() else real)
        getattr(model, objective)(batch).backward()
        return source.grad, classes.grad

    (d_source, d_classes), (g_source, g_classes) = map(
        derivatives, ("discriminator_loss", "generator_loss")
    )
    torch.testing.assert_close(d_classes, g_classes)
    assert (d_classes.diagonal() < 0).all()
    torch.testing.assert_close(d_source, -g_source)
    assert (d_source > 0).all()


def test_the_source_terms_are_gans():
    model, batch = playing()
    model.discriminator.logit = 1.5
    one = torch.tensor(1.5)
    assert model.discriminator_loss(batch) == pytest.approx(softplus(-one) + softplus(one))
    assert model.generator_loss(batch) == pytest.approx(softplus(-one))
    saturating, _ = playing(saturating=True)
    saturating.discriminator.logit = 1.5
    assert saturating.generator_loss(batch) == pytest.approx(-softplus(one))
    smooth, _ = playing(label_smoothing=0.1)
    smooth.discriminator.logit = 1.5
    expected = 0.9 * softplus(-one) + 1.1 * softplus(one)
    assert smooth.discriminator_loss(batch) == pytest.approx(expected)


def test_the_class_loss_reaches_the_generator_and_the_class_input():
    model = small()
    batch = {"image": torch.zeros(6, 1, 8, 8), "label": torch.tensor([3, 3, 5, 5, 3, 5])}
    with torch.no_grad():  # a source that says nothing
        model.discriminator.source.weight.zero_()
    model.generator_loss(batch).backward()
    gradient = model.generator[1].weight.grad.flatten(1)[4:].abs().sum(dim=1)
    assert gradient.nonzero().flatten().tolist() == [3, 5]


def test_a_label_changes_the_image_of_a_latent():
    model = small().eval()
    latent = model.prior(1).expand(10, -1)
    images = model.sample(10, {"latent": latent, "label": torch.arange(10)})
    assert len(images.flatten(1).unique(dim=0)) == 10
    again = model.sample(10, {"latent": latent, "label": torch.arange(10).flip(0)})
    torch.testing.assert_close(again, images.flip(0))


def test_both_heads_are_of_one_trunk():
    """Each head's loss moves the trunk, and not the other head."""
    model = small(image_size=16)
    for head, other in (("source", "classes"), ("classes", "source")):
        model.zero_grad()
        source, classes = model.discriminator(torch.rand(5, 1, 16, 16))
        assert (source.shape, classes.shape) == ((5,), (5, 10))
        loss = source.sum() if head == "source" else cross_entropy(classes, torch.arange(5))
        loss.backward()
        assert model.discriminator.trunk[0].weight.grad.abs().sum() > 0
        assert getattr(model.discriminator, head).weight.grad is not None
        assert getattr(model.discriminator, other).weight.grad is None


def test_the_architecture():
    """110 inputs as in the paper; 1 + 10 outputs of the 256 maps of 4x4 of 32x32 images."""
    model = ACGAN()
    assert model.generator[1].weight.shape == (110, 256, 4, 4)
    assert model.discriminator.source.weight.shape == (1, 4096)
    assert model.discriminator.classes.weight.shape == (10, 4096)
    kinds = [type(m) for m in model.discriminator.trunk]
    assert kinds.count(Dropout) == 3
    assert nn.BatchNorm2d in kinds
    normalized = small(spectral_norm=True).discriminator
    assert nn.BatchNorm2d not in [type(m) for m in normalized.trunk]
    assert all(hasattr(m, "parametrizations") for m in (normalized.source, normalized.classes))
    assert model.discriminate(torch.zeros(2, 3, 32, 32), {}).shape == (2,)


def test_data_without_labels_are_refused():
    with pytest.raises(ValueError, match="needs data with labels"):
        ACGAN(classes=0)


def test_it_learns_the_classes_of_real_digits(tmp_path):
    """Within seconds its samples are of the class asked for, and teach a classifier."""
    from callbacks.ema import EMA
    from callbacks.metrics import Metrics
    from datamodules.digits import Digits

    model = small(width=16, latent_dim=32, lr=2e-3, spectral_norm=True)
    kit.fit(model, tmp_path, 160, Digits(), callbacks=[EMA(decay=0.95), Metrics(0, 1000)])
    for name, least in (("of_samples_digits_1k", 0.9), ("trained_on_samples_1k_val", 0.75)):
        untrained, trained = model.results[f"val/accuracy_{name}"].values()
        assert untrained < 0.3
        assert trained > least
    untrained, trained = model.results["val/fid_digits_1k"].values()
    assert trained < untrained / 4
