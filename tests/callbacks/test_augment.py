"""Each augmentation by itself, differentiable, each image with a draw of its own."""

import pytest
import torch

from callbacks.augment import (
    POLICIES,
    Augment,
    brightness,
    contrast,
    cutout,
    saturation,
    translation,
)
from tests import kit
from tests.callbacks.players import Game, seen

TRANSFORMS = [transform for transforms in POLICIES.values() for transform in transforms]
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


def test_contrast_keeps_the_mean_and_saturation_the_grey():
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
    assert torch.equal(Augment(("color",)).augmented(images), expected)


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
    with pytest.raises(ValueError, match=r"policy=\['colour'\]: there are color, translation"):
        Augment(policy=("colour",))
    with pytest.raises(ValueError, match=r"policy=\[\]"):
        Augment(policy=())
