"""The losses of Isola et al. 2017, which player sees what, and the noise that stays on at test."""

import math

import pytest
import torch
from torch import nn

from datamodules.edges import Edges
from datamodules.textures import Textures
from tests import kit
from zoo.conditional.pix2pix import LOSSES, Pix2Pix

SHAPE = {"image_size": 8, "image_channels": 1, "source_channels": 1, "receptive_field": 16}


def small(**parameters):
    torch.manual_seed(0)
    return Pix2Pix(**SHAPE | {"width": 4} | parameters)


def pair(count=4):
    draws = torch.rand(2, count, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    image, source = 2 * draws - 1
    return {"image": image, "source": source}


class Judge(nn.Module):
    """Logits of real images `real`, of all others `fake`, a map of two by two; notes its calls."""

    def __init__(self, batch, real=0.0, fake=0.0):
        super().__init__()
        self.batch, self.real, self.fake = batch, real, fake
        self.calls = []

    def forward(self, images, *told):
        self.calls.append((images, *told))
        logit = self.real if torch.equal(images, self.batch["image"]) else self.fake
        return torch.full((len(images), 2, 2), logit)


def judged(real, fake, **parameters):
    batch, model = pair(), small(**parameters)
    model.discriminator = Judge(batch, real, fake)
    return model, batch


def test_the_discriminators_loss_is_half_the_cross_entropy():
    model, batch = judged(1.5, -0.5)
    loss = model.discriminator_loss(batch, torch.zeros(4, 1, 8, 8))
    expected = math.log(1 + math.exp(-1.5)) / 2 + math.log(1 + math.exp(-0.5)) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    model, batch = judged(0.0, 0.0)
    loss = model.discriminator_loss(batch, torch.zeros(4, 1, 8, 8))
    assert loss.item() == pytest.approx(math.log(2)), "log 4 in other models"


def test_the_generators_loss_is_the_cross_entropy_and_a_hundred_times_l1():
    model, batch = judged(0.0, 1.5)
    loss = model.generator_loss(batch, batch["image"] + 0.25)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1.5)) + 25, rel=1e-6)
    model, batch = judged(0.0, 1.5, l1_weight=10.0)
    loss = model.generator_loss(batch, batch["image"] + 0.25)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1.5)) + 2.5, rel=1e-6)


# What table 1 of the paper compares: (loss, with an adversary, that is told the source, with L1).
ROWS = [
    ("l1", False, False, True),
    ("gan", True, False, False),
    ("cgan", True, True, False),
    ("l1+gan", True, False, True),
    ("l1+cgan", True, True, True),
]


@pytest.mark.parametrize(("loss", "adversary", "told", "near"), ROWS)
def test_the_rows_of_table_1(loss, adversary, told, near):
    assert [row[0] for row in ROWS] == list(LOSSES)
    model, batch = small(loss=loss), pair()
    assert hasattr(model, "discriminator") == adversary
    if adversary:
        assert model.discriminator.layers[0].in_channels == 1 + told
        model.discriminator = Judge(batch, fake=0.5)
    value = model.generator_loss(batch, batch["image"] + 0.25).item()
    expected = adversary * math.log(1 + math.exp(-0.5)) + near * 25
    assert value == pytest.approx(expected, rel=1e-6)
    if adversary:
        model.discriminator_loss(batch, torch.zeros(4, 1, 8, 8))
        for _, *sources in model.discriminator.calls:
            assert len(sources) == told
            assert all(torch.equal(source, batch["source"]) for source in sources)


def test_a_discriminator_that_sees_the_source_compares_image_and_source():
    batch, other = pair(), pair()["source"].flip(0)
    for loss, matters in (("l1+cgan", True), ("l1+gan", False)):
        model = small(loss=loss).eval()
        logits = (
            model.discriminate(batch["image"], batch),
            model.discriminate(batch["image"], batch | {"source": other}),
        )
        assert torch.equal(*logits) != matters


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_trains_its_players(loss, tmp_path):
    model = small(loss=loss)
    before = kit.weights(model)
    kit.fit(model, tmp_path, 2)
    for name, value in kit.weights(model).items():
        if name.endswith("weight"):
            assert not torch.equal(value, before[name]), name


def test_a_batch_is_translated_once_and_discriminated_again_for_the_generator(tmp_path):
    """The paper's code moves the generator by the logits from before the discriminator's step."""
    model = small(lr=0.1)
    fakes, logits = [], []
    model.generator.register_forward_hook(lambda _, __, out: fakes.append(out.detach()))
    model.discriminator.register_forward_hook(lambda _, given, out: logits.append((given[0], out)))
    kit.fit(model, tmp_path, 1)
    assert len(fakes) == 1
    (_, _), (first, before), (second, after) = logits
    assert torch.equal(first, fakes[0])
    assert torch.equal(second, fakes[0])
    assert not torch.equal(before, after)


def test_the_adversary_reaches_the_generator():
    model, batch = small(loss="cgan"), pair()
    model.generator_loss(batch, model.sample(4, batch)).backward()
    assert all(p.grad.abs().sum() > 0 for p in model.generator.encoder[0].parameters())


def test_l1_is_indifferent_between_two_equally_likely_images():
    """Why L1 alone is gray: its optimum is a median, here every value from -0.5 to 0.5."""
    model, batch = small(loss="l1"), {"image": torch.tensor([-0.5, 0.5]).view(2, 1, 1, 1)}
    losses = [
        model.generator_loss(batch, torch.full((2, 1, 1, 1), grey)).item()
        for grey in (-0.5, 0.0, 0.3, 0.5, 0.7)
    ]
    assert losses == pytest.approx([50, 50, 50, 50, 70])


@pytest.mark.parametrize("test_dropout", [True, False])
def test_translations_differ_at_test_unless_the_noise_is_off(test_dropout):
    model, batch = small(test_dropout=test_dropout), pair()
    with model.evaluating():
        one, other = model.sample(4, batch), model.sample(4, batch)
    assert torch.equal(one, other) != test_dropout


def test_a_translation_is_of_its_source_alone():
    model, batch = small(test_dropout=False).eval(), pair()
    translated = model.sample(4, batch)
    other = model.sample(4, batch | {"image": torch.zeros(4, 1, 8, 8)})
    assert torch.equal(translated, other)
    reversed_ = model.sample(4, {"source": batch["source"].flip(0)})
    torch.testing.assert_close(reversed_, translated.flip(0))


def test_wrong_settings_are_refused():
    with pytest.raises(
        ValueError, match=r"loss=l2: choose one of l1, gan, cgan, l1\+gan, l1\+cgan"
    ):
        small(loss="l2")
    with pytest.raises(ValueError, match=r"receptive_field=70 needs images of at least 24 pixels"):
        small(receptive_field=70)


def test_the_papers_settings():
    hp = Pix2Pix(width=1).hparams
    assert (hp.image_size, hp.l1_weight, hp.receptive_field, hp.dropout) == (256, 100, 70, 0.5)
    assert (hp.lr, hp.beta1, hp.beta2) == (2e-4, 0.5, 0.999)
    assert (hp.loss, hp.skips, hp.test_dropout) == ("l1+cgan", True, True)
    assert hp.norm == "none", "a deviation from the paper's"


def test_the_players_may_have_separate_rates():
    def rates(**parameters):
        return [o.param_groups[0]["lr"] for o in small(**parameters).configure_optimizers()]

    assert rates(lr=1e-3) == [1e-3, 1e-3]
    assert rates(lr=1e-3, discriminator_lr=5e-4) == [5e-4, 1e-3], "the discriminator's is first"
    assert rates(lr=1e-3, discriminator_lr=0.0) == [0.0, 1e-3]
    assert rates(loss="l1", discriminator_lr=5e-4) == [2e-4]


@pytest.mark.parametrize("norm", ["none", "instance", "batch"])
def test_the_discriminator_has_the_norm_that_is_asked_for(norm):
    kinds = {type(module) for module in small(norm=norm).discriminator.modules()}
    assert (nn.InstanceNorm2d in kinds, nn.BatchNorm2d in kinds) == (
        norm == "instance",
        norm == "batch",
    )


def test_the_discriminator_sees_real_and_generated_images_apart_before_it_learns():
    """By the means of the two batches, which is what its first gradients are made of."""
    data = Textures()
    batch = data.on_after_batch_transfer(data.source("train")[torch.arange(32)], 0)

    def gap(norm):
        found = []
        for seed in range(4):
            torch.manual_seed(seed)
            model = Pix2Pix(32, 1, 3, width=16, receptive_field=16, norm=norm)
            with torch.no_grad():
                fake = model.discriminate(model.sample(32, batch), batch)
                real = model.discriminate(batch["image"], batch)
            found.append((real.mean() - fake.mean()).abs() / real.std())
        return torch.stack(found).mean().item()

    assert gap("none") > 5 * gap("batch")


def test_the_players_may_have_separate_widths():
    widths = [
        small(width=4, discriminator_width=d).discriminator.layers[0].out_channels
        for d in (None, 6)
    ]
    assert widths == [4, 6]


def test_it_learns_to_invert_digits(tmp_path):
    """Within seconds the error is below half of that of the best image for all sources."""

    class Negatives(Edges):
        def make_source(self):
            return lambda images: 255 - images

    data = Negatives(of="digits")
    source = data.source("test")
    images = source[torch.arange(len(source))]["image"] / 127.5 - 1
    untold = (images - images.median(dim=0).values).abs().mean().item()
    model = small(width=16, lr=2e-3)
    kit.fit(model, tmp_path, 150, data)
    with model.evaluating():
        error = model.measure(data, "test")["l1_error_test_pix2pix_200_test"]
    assert error < untold / 2
