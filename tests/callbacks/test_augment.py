"""Each augmentation by itself, differentiable, each image with a draw of its own."""

import re

import pytest
import torch
from torch import nn

import zoo
from callbacks import augment
from callbacks.augment import (
    COLOR_TRANSFORMS,
    SPATIAL_TRANSFORMS,
    Augment,
    brightness,
    contrast,
    cutout,
    saturation,
    translation,
)
from tests import kit
from tests.callbacks.players import Game, seen
from zoo.config.errors import UserError

EVERY = (COLOR_TRANSFORMS | SPATIAL_TRANSFORMS).values()
TRANSFORMS = [transform for transforms in EVERY for transform in transforms]
each = pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: t.__name__)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@each
@pytest.mark.parametrize("shape", [(5, 1, 8, 8), (5, 3, 32, 32), (5, 3, 7, 9), (5, 2, 1, 1)])
def test_shape_type_and_gradient(transform, shape):
    """Linear in the pixels, so that the gradient of the sum is not NaN and mostly not zero."""
    images = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    changed = transform(images)
    assert changed.shape == shape
    assert changed.dtype == torch.float64
    (gradient,) = torch.autograd.grad(changed.square().sum(), images)
    assert gradient.isfinite().all()
    assert gradient.any() or shape[2] == 1


@each
def test_gradients_are_those_of_finite_differences(transform):
    images = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)

    def repeatable(images):
        torch.manual_seed(3)
        return transform(images)

    assert torch.autograd.gradcheck(repeatable, images)


@each
def test_each_image_has_its_own_draw(transform):
    images = torch.randn(1, 3, 16, 16).expand(8, -1, -1, -1)
    changed = transform(images)
    different = {tuple(image.flatten().tolist()) for image in changed}
    assert len(different) > 4


@each
def test_images_do_not_mix(transform):
    images = torch.randn(4, 3, 8, 8)
    other = images.clone()
    other[1] += 1
    results = []
    for given in (images, other):
        torch.manual_seed(0)
        results.append(transform(given))
    assert torch.equal(results[0][[0, 2, 3]], results[1][[0, 2, 3]])


def test_brightness_shifts_an_image_as_a_whole():
    shift = brightness(torch.zeros(1000, 1, 2, 2))
    assert (shift.flatten(1) == shift[:, 0, 0, :1]).all()
    assert shift.min() == pytest.approx(-0.5, abs=0.01)
    assert shift.max() == pytest.approx(0.5, abs=0.01)


def test_contrast_keeps_the_mean_and_saturation_the_gray():
    images = torch.randn(1000, 3, 4, 4, dtype=torch.float64)
    changed = contrast(images)
    torch.testing.assert_close(changed.mean(dim=(1, 2, 3)), images.mean(dim=(1, 2, 3)))
    factors = changed.flatten(1).std(dim=1) / images.flatten(1).std(dim=1)
    assert factors.min() == pytest.approx(0.5, abs=0.01)
    assert factors.max() == pytest.approx(1.5, abs=0.01)
    changed, grey = saturation(images), images.mean(dim=1)
    torch.testing.assert_close(changed.mean(dim=1), grey)
    factors = (changed[:, 0] - grey) / (images[:, 0] - grey)
    torch.testing.assert_close(factors[:, 0, 0], factors[:, 3, 3])
    assert factors.min() == pytest.approx(0.0, abs=0.01)
    assert factors.max() == pytest.approx(2.0, abs=0.01)
    one = torch.randn(4, 1, 4, 4)
    assert torch.equal(saturation(one), one)


def test_translation_moves_by_an_eighth_over_zeros():
    """The place of one bright pixel, and the border of a white image."""
    images = torch.zeros(1000, 1, 16, 24)
    images[:, :, 8, 12] = 1
    moved = translation(images).nonzero()[:, 2:] - torch.tensor([8, 12])
    assert len(moved) == 1000
    assert sorted(set(moved[:, 0].tolist())) == [-2, -1, 0, 1, 2]
    assert sorted(set(moved[:, 1].tolist())) == [-3, -2, -1, 0, 1, 2, 3]
    assert len(set(map(tuple, moved.tolist()))) == 35
    white = translation(torch.ones(200, 1, 8, 8))
    assert set(white.unique().tolist()) == {0.0, 1.0}
    assert set(white.sum(dim=(1, 2, 3)).tolist()) == {49.0, 56.0, 64.0}


def test_cutout_is_a_window_of_half_a_side():
    """Where it lies within, a quarter of the image; at most, and at least a sixteenth of it."""
    white = cutout(torch.ones(2000, 3, 8, 8))
    assert set(white.unique().tolist()) == {0.0, 1.0}
    missing = (white == 0).flatten(1).sum(dim=1) / 3
    assert missing.max() == 16
    assert missing.min() == 4
    rows, columns = (white[:, 0] == 0).any(dim=2), (white[:, 0] == 0).any(dim=1)
    assert torch.equal(rows.sum(dim=1) * columns.sum(dim=1), missing.long())
    assert (white == white[:, :1]).all(), "of all channels"


def test_color_is_all_three_of_its_parts():
    images = torch.randn(4, 3, 8, 8)
    torch.manual_seed(1)
    expected = contrast(saturation(brightness(images)))
    torch.manual_seed(1)
    (changed,) = Augment(("color",)).augment(images)
    assert torch.equal(changed, expected)


def test_all_that_the_player_sees_is_augmented_in_both_turns(tmp_path):
    real, fake, judged = [calls[0] for calls in seen(tmp_path, 1, Augment())]
    for images in (real, fake, judged):
        assert (images == 0).flatten(1).any(dim=1).all(), "every image has its window"
    assert not torch.equal(fake, judged)


def test_the_generator_learns_through_it(tmp_path):
    """d/dw of <v, T(tanh(w))> for a linear discriminator v: T's slope is in it."""
    models = []
    for policy in (("color",), ("cutout",)):
        model = Game()
        model.discriminator.weight.data.fill_(1.0)
        kit.fit(model, tmp_path, 1, callbacks=[Augment(policy)])
        models.append(model)
    slope = 64 * (1 - torch.ones(1).tanh() ** 2)
    color, cut = (model.gradients[1][0] for model in models)
    torch.testing.assert_close(color, -slope)  # a shift of constant images
    assert -slope * 15 / 16 <= cut <= -slope * 3 / 4, "zeros have no slope"


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match=r"policy=\['hue'\]: choose among color, translation"):
        Augment(policy=("hue",))
    with pytest.raises(ValueError, match=r"policy=\[\]"):
        Augment(policy=())


def test_a_condition_of_the_images_size_moves_with_its_image():
    """The image is a copy of its condition, so that any move apart would make them differ."""
    condition = torch.randn(64, 2, 8, 12)
    labels, embedding = torch.arange(64), torch.randn(64, 5)
    images, moved, *others = Augment(("translation", "cutout")).augment(
        condition.mean(dim=1, keepdim=True), condition, labels, embedding
    )
    assert torch.equal(images, moved.mean(dim=1, keepdim=True))
    assert not torch.equal(moved, condition)
    assert torch.equal(others[0], labels)
    assert torch.equal(others[1], embedding)


def test_colors_of_a_condition_stay():
    condition = torch.randn(4, 3, 8, 8)
    images, source = Augment(("color",)).augment(condition, condition)
    assert torch.equal(source, condition)
    assert not torch.equal(images, condition)


def adversaries(model):
    """Names of the networks that a callback on an adversary can be put on."""
    for name, network in model.named_modules():
        *parents, last = name.split(".")
        at_top = not parents and ADVERSARY.search(last)
        if (parents == ["discriminators"] or at_top) and not isinstance(network, nn.ModuleList):
            yield name


ADVERSARY = re.compile(r"discriminator\d*$|critic$")
# Those with an adversary whose images have a condition of their size.
SPATIAL = {"lapgan", "pix2pix", "segmentation_forecast", "video_prediction"}


@pytest.mark.parametrize("name", zoo.models())
def test_the_pair_stays_together_in_every_model(name, tmp_path, monkeypatch):
    """What each player is called with before and after a draw of known shifts."""
    shifts = []

    def rolled(images):
        shifts.append(torch.randint(1, 8, (len(images),)).tolist())
        moved = [image.roll(shift, -1) for image, shift in zip(images, shifts[-1], strict=True)]
        return torch.stack(moved)

    monkeypatch.setitem(augment.SPATIAL_TRANSFORMS, "translation", (rolled,))
    found = list(adversaries(kit.build(name)))
    if not found:
        pytest.skip("no adversary")
    spatial = 0
    for player in found:
        model = kit.build(name)
        calls = {"before": [], "after": []}

        class Watching(Augment):
            def attach(self, model, player, calls=calls):
                def note(when):
                    return lambda _, arguments: calls[when].append(arguments)

                before = player.register_forward_pre_hook(note("before"))
                attached = super().attach(model, player)
                after = player.register_forward_pre_hook(note("after"))
                return [before.remove, *attached, after.remove]

        shifts.clear()
        kit.fit(model, tmp_path, 4, callbacks=[Watching(("translation",), player)])
        assert len(calls["before"]) == len(calls["after"]) == len(shifts) > 0
        for before, after, samples in zip(calls["before"], calls["after"], shifts, strict=True):
            for values, moved in zip(before, after, strict=True):
                if values.dim() < 3:
                    assert torch.equal(values, moved)
                    continue
                each = zip(values, samples, strict=True)
                assert torch.equal(moved, torch.stack([v.roll(shift, -1) for v, shift in each]))
            spatial += sum(values.dim() > 2 for values in before[1:])
    assert (spatial > 0) == (name in SPATIAL)


def test_a_condition_of_another_size_is_refused():
    images, condition = torch.randn(4, 1, 8, 8), torch.randn(4, 1, 4, 4)
    with pytest.raises(UserError, match=r"\(4, 1, 4, 4\) cannot be transformed with .*\[color\]"):
        Augment().augment(images, condition)
    _, same = Augment(("color",)).augment(images, condition)
    assert same is condition
    with pytest.raises(UserError, match=r"has shape \(4, 64\), but must be images"):
        Augment().augment(images.flatten(1))
