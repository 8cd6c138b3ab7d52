"""Errors of hidden pixels alone, and their sharpness: hand-computed."""

import pytest
import torch

from datamodules.digits import Digits
from tests import kit
from tests.zoo.metrics.test_quadrant_nll import Rows
from zoo.metrics.inpainting import gradient_energy, hole_scores, scores
from zoo.metrics.sharpness import Detail


def levels(values):
    return torch.tensor(values, dtype=torch.uint8).view(-1, 1, 2, 2)


def test_errors_are_of_the_hidden_pixels():
    """51 levels are a fifth: 0.2 and 0.4 in one image, 0.2 in the other; the rest is ignored."""
    real = levels([[0, 102, 0, 0], [51, 0, 0, 0]])
    fake = levels([[51, 0, 255, 255], [0, 255, 255, 255]])
    mask = levels([[1, 1, 0, 0], [1, 0, 0, 0]]) > 0
    found = scores(real, fake, mask)
    assert found["l1"] == pytest.approx((0.2 + 0.4 + 0.2) / 3)
    assert found["l2"] == pytest.approx(0.08)
    assert found["psnr"] == pytest.approx(10.969, abs=1e-3)
    assert found["psnr_each"] == pytest.approx((10 + 13.979) / 2, abs=1e-3)
    assert found["sharpness"] == pytest.approx(0.25)


def test_an_image_without_hidden_pixels_does_not_count():
    """The errors of the first image are 0.2 and 0.4, whose squares have the mean 0.1."""
    real, fake = levels([[0, 102, 0, 0], [9, 9, 9, 9]]), levels([[51, 0, 0, 0], [0, 0, 0, 0]])
    mask = levels([[1, 1, 0, 0], [0, 0, 0, 0]]) > 0
    found = scores(real, fake, mask)
    assert found["l2"] == pytest.approx(0.1)
    assert found["psnr"] == pytest.approx(10)
    assert found["psnr_each"] == pytest.approx(10)


def test_holes_that_are_all_but_equal_count_50_decibels():
    real = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    fake, mask = real.clone(), torch.ones(2, 1, 32, 32, dtype=torch.bool)
    fake[1, 0, 0] = 51
    expected = (50 - 10 * torch.tensor(0.04 / 32).log10().item()) / 2
    assert scores(real, fake, mask)["psnr_each"] == pytest.approx(expected)


def test_the_gradient_energy_of_a_square_hole_is_that_of_its_crop():
    images = torch.randint(256, (5, 3, 8, 8), dtype=torch.uint8)
    mask = torch.zeros(5, 1, 8, 8, dtype=torch.bool)
    mask[:, :, 2:6, 1:7] = True
    crop = Detail()(images[:, :, 2:6, 1:7])[:, 0].mean()
    assert gradient_energy(images.double() / 255, mask).item() == pytest.approx(crop.item())


def test_a_model_is_measured_on_test_images_by_the_masks_it_draws():
    model = kit.build("context_encoder", masks="region")
    model.fill = lambda images, mask: torch.where(mask, images - 0.2, images)
    with model.evaluating():
        found = model.measure(Digits(), "test")
    assert set(found) == {
        f"{what}_hole_digits_360_test" for what in ("l1", "l2", "psnr", "psnr_each", "sharpness")
    }
    assert found["l1_hole_digits_360_test"] < 0.1  # black stays black
    whites = with_tests(torch.full((3, 1, 8, 8), 255, dtype=torch.uint8))
    assert hole_scores(model, whites, "test")["l1_hole_digits_3_test"] == pytest.approx(
        0.1, abs=1 / 255
    )


def test_of_no_test_images_there_are_no_numbers():
    model = kit.build("context_encoder")
    data = with_tests(torch.zeros(0, 1, 8, 8, dtype=torch.uint8))
    assert model.measure(data, "test") == model.figures(data) == model.figures(None) == {}


def with_tests(images):
    data = Digits()
    data._sources = {"test": Rows(images)}
    return data
