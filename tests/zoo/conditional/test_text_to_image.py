"""The losses of Reed et al. 2016, and who sees which captions."""

import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from datamodules.captioned_shapes import CaptionedShapes
from datamodules.captions import CaptionedImages, WithCaptions
from datamodules.digits import Digits
from datamodules.loading.sources import InMemoryImages
from tests import kit
from zoo.conditional.text_to_image import LOSSES, TextToImage
from zoo.engine import seeds
from zoo.media.text import ALPHABET, to_ids

SHAPE = {"image_size": 8, "image_channels": 1, "embedding_dim": 6, "projection_dim": 4}
SHAPE |= {"encoder_width": 4, "latent_dim": 5, "width": 4}


def small(**parameters):
    torch.manual_seed(0)
    return TextToImage(**SHAPE | parameters)


def batch():
    images = torch.rand(2, 4, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    texts = (
        to_ids(["red", "a blue one", "green", "it is black"]),
        to_ids(["a", "b", "cc", "dd"], 11),
    )
    text, wrong_text = texts[0], texts[1][:, : texts[0].shape[1]]
    wrong = {"wrong_image": images[1], "wrong_text": wrong_text}
    return {"image": images[0], "text": text} | wrong


class Judge(nn.Module):
    """A logit for real images, wrong images and all others; notes its calls."""

    def __init__(self, batch, real, wrong, fake):
        super().__init__()
        self.images = [(batch["image"], real), (batch["wrong_image"], wrong)]
        self.fake = fake
        self.calls = []

    def forward(self, images, embedding):
        self.calls.append((images, embedding))
        known = (logit for of, logit in self.images if torch.equal(of, images))
        return torch.full((len(images),), next(known, self.fake), dtype=images.dtype)


def bce(logit, target):
    return math.log(1 + math.exp(-logit if target else logit))


# (loss, weight of wrong pairs, captions for the generator that lie between two)
VARIANTS = [("vanilla", 0.0, 0), ("cls", 0.5, 0), ("int", 0.0, 2), ("int_cls", 0.5, 2)]


@pytest.mark.parametrize(("loss", "weight", "between"), VARIANTS)
def test_the_discriminators_loss_and_what_it_sees(loss, weight, between):
    assert [row[0] for row in VARIANTS] == list(LOSSES)
    model, given = small(loss=loss), batch()
    model.discriminator = Judge(given, real=1.5, wrong=-0.25, fake=0.5)
    embedding = model.embed(given["text"])
    value = model.discriminator_loss(given, embedding).item()
    expected = bce(1.5, 1) + weight * bce(-0.25, 0) + (1 - weight) * bce(0.5, 0)
    assert value == pytest.approx(expected, rel=1e-6)
    calls = model.discriminator.calls
    assert len(calls) == 2 + (weight > 0)
    assert torch.equal(calls[0][0], given["image"]), "the real images come first"
    assert all(torch.equal(told, embedding) for _, told in calls), "no caption between two"


@pytest.mark.parametrize(("loss", "weight", "between"), VARIANTS)
def test_the_generator_has_half_as_many_captions_again_between_two(loss, weight, between, tmp_path):
    model = small(loss=loss, encoder_steps=0)
    told = []
    model.generator.register_forward_hook(lambda _, given, __: told.append(given[1]))
    kit.fit(model, tmp_path, 1)
    fakes, played = told
    assert len(fakes) == 4
    assert len(played) == 4 + between
    assert torch.equal(played[:4], fakes)


def test_between_is_the_exact_midpoint_or_where_beta_says():
    given = batch()
    for beta in (0.5, 0.25, 1.0):
        model = small(loss="int", beta=beta)
        right, wrong = model.embed(given["text"])[:2], model.embed(given["wrong_text"])[:2]
        between = model.interpolate_embeddings(model.embed(given["text"]), given)
        torch.testing.assert_close(between, beta * right + (1 - beta) * wrong)


def test_without_wrong_pairs_a_discriminator_deaf_to_text_loses_nothing():
    """And with them its loss on wrong pairs is that of real ones with the target turned round."""
    given = batch()
    given["wrong_image"] = given["image"].flip(0)  # the same images, at other captions
    for loss, gain in (("vanilla", False), ("cls", True)):
        model = small(loss=loss)
        discriminator = model.discriminator
        for parameter in discriminator.text.parameters():
            nn.init.zeros_(parameter)
        embedding = model.embed(given["text"])
        real, wrong = (discriminator(given[name], embedding) for name in ("image", "wrong_image"))
        torch.testing.assert_close(wrong.flip(0), real)
        seeds.reseed(model.device, 0)
        value = model.discriminator_loss(given, embedding)
        seeds.reseed(model.device, 0)
        fake = discriminator(model.sample(4, given), embedding)
        weight = 0.5 if gain else 0.0
        expected = softplus(-real).mean() + weight * softplus(real).mean()
        torch.testing.assert_close(value, expected + (1 - weight) * softplus(fake).mean())


def test_the_style_encoder_finds_z_and_updates_nobody_else(tmp_path):
    """Its loss is eq. 6 over the number of dimensions."""

    class Sure(nn.Module):
        def forward(self, images):
            assert not images.requires_grad
            self.images = images
            return model.text_encoder.embedding.weight.new_zeros(len(images), 5) + self.shift

    model = small(encoder_steps=0)
    samples, noted = [], {}
    prior = model.prior
    model.prior = lambda count: samples.append(prior(count)) or samples[-1]
    model.log_losses = lambda **losses: noted.update(losses)
    model.style_encoder = Sure()
    model.style_encoder.shift = nn.Parameter(torch.zeros(()))
    kit.fit(model, tmp_path, 1)
    latent = samples[-1]
    assert len(latent) == 6
    assert noted["style_loss"].item() == pytest.approx(latent.square().mean().item())


def test_samples_are_of_their_captions_whatever_follows_them():
    model, given = small().eval(), batch()
    latent = model.prior(4)
    images = model.sample(4, {"text": given["text"], "latent": latent})
    longer = nn.functional.pad(given["text"], (0, 7))
    torch.testing.assert_close(model.sample(4, {"text": longer, "latent": latent}), images)
    assert not torch.equal(
        model.sample(4, {"text": given["text"].flip(0), "latent": latent}), images
    )
    logits = model.discriminate(images, given)
    torch.testing.assert_close(logits, model.discriminator(images, model.embed(given["text"])))


MISTAKES = [
    ({"loss": "gan"}, "loss=gan: choose one of vanilla, cls, int, int_cls"),
    ({"encoder": "lstm"}, r"encoder=lstm is none of .* model\.encoder_steps=0"),
    ({"beta": 1.5}, "beta=1.5 must be at most 1"),
    ({"cls_weight": -0.1}, "cls_weight=-0.1 must be at least 0"),
    ({"embedding_dim": 0}, "embedding_dim=0 must be at least 1"),
    ({"projection_dim": 0}, "projection_dim=0 must be at least 1"),
    ({"encoder_width": 0}, "encoder_width=0 must be at least 1"),
    ({"encoder_steps": -1}, "encoder_steps=-1 must be at least 0"),
]


@pytest.mark.parametrize(("given", "message"), MISTAKES)
def test_wrong_settings_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        small(**given)


def test_a_caption_that_says_nothing_has_no_samples():
    text = batch()["text"]
    with pytest.raises(ValueError, match=r'sample\(3, ...\): the condition "text" has 4'):
        small().sample(3, {"text": text})
    for wrong in (0, -1, len(ALPHABET) + 1):
        text[1] = wrong
        with pytest.raises(ValueError, match=r"each row must hold the ids of a caption"):
            small().sample(4, {"text": text})


class OneClass(CaptionedShapes):
    """All captions are of one class: there are no wrong ones."""

    @staticmethod
    def identity(attributes):
        return torch.zeros_like(attributes["shape"])


@pytest.mark.parametrize(("loss", "weight", "between"), VARIANTS)
def test_wrong_pairs_are_asked_for_where_the_loss_reads_them(loss, weight, between, tmp_path):
    wrong = ["wrong_image"] * (weight > 0) + ["wrong_text"] * (between > 0)
    model = small(loss=loss, image_size=16, image_channels=3, encoder_steps=0)
    assert model.needs == ("image", "text", "label", *wrong)
    data = OneClass(batch_size=4, count=8, val_count=0)
    told = pytest.raises(ValueError, match="All captions are of one class")
    with told if wrong else nullcontext():
        kit.fit(model, tmp_path, 1, data)


def test_the_papers_settings():
    hp = TextToImage(width=1, encoder_width=1).hparams
    assert (hp.image_size, hp.embedding_dim, hp.projection_dim, hp.latent_dim) == (
        64,
        1024,
        128,
        100,
    )
    assert (hp.lr, hp.beta1, hp.beta2, hp.cls_weight, hp.beta) == (2e-4, 0.5, 0.999, 0.5, 0.5)
    assert hp.encoder == "char_cnn_rnn"


SHADES = "a dark one", "it is black", "a light one", "it is white"


class Shades(WithCaptions, Digits):
    """Real digits, every other one light, with two captions for each shade."""

    def open(self, split):
        images, _ = self.load(split)
        light = torch.arange(len(images)) % 2
        images = images // 4 + (192 * light).to(torch.uint8).view(-1, 1, 1, 1)
        captions = to_ids(SHADES).unflatten(0, (2, 2))[light]
        return CaptionedImages(InMemoryImages(images, light), captions, torch.full_like(light, 2))


def test_it_learns_what_a_caption_asks_for(tmp_path):
    """Within seconds; deaf to captions, half of the samples would have the right shade."""
    widths = {"embedding_dim": 8, "encoder_width": 8, "latent_dim": 8, "width": 8}
    rates = {"encoder_steps": 30, "encoder_lr": 3e-3, "lr": 3e-3}
    model = small(loss="cls", encoder="gru", **widths | rates)
    kit.fit(model, tmp_path, 110, Shades(batch_size=32, val_count=0))
    with model.evaluating():
        text = to_ids(SHADES).repeat_interleave(100, dim=0)
        shades = model.sample(400, {"text": text}).mean(dim=(1, 2, 3))
    light = torch.arange(400) >= 200
    assert ((shades > 0) == light).double().mean() > 0.9
    assert shades[light].mean() - shades[~light].mean() > 0.6


def test_figures_of_captions():
    data, model = CaptionedShapes(count=50, val_count=0), small(image_size=16, image_channels=3)
    with model.evaluating():
        figures = model.figures(data)
        assert model.figures(None) == model.figures(kit.Toy()) == {}
    assert set(figures) == {"captions", "interpolations", "styles"}
    for figure in figures.values():
        assert figure.dtype == torch.uint8
        assert figure.shape[0] == 3
