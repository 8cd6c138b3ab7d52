"""What blur and noise do to the numbers."""

import pytest
import torch

from datamodules.digits import Digits
from zoo.metrics.sharpness import BANDS, Detail, rings, sharpness


def wave(cycles, size=16):
    """Columns of a cosine with so many cycles, between 0 and 1, as uint8 (1, 1, H, W)."""
    angle = 2 * torch.pi * cycles * torch.arange(size) / size
    return (255 * (1 + angle.cos()) / 2).round().expand(1, 1, size, size).to(torch.uint8)


def test_gradient_energy_of_a_ramp_is_its_slopes_square():
    ramp = torch.arange(12)[None, :] * 5 + torch.arange(8)[:, None] * 17
    energy = Detail()(ramp.expand(2, 3, 8, 12).to(torch.uint8))[:, 0]
    assert energy.tolist() == pytest.approx([(5**2 + 17**2) / 255**2] * 2)


def test_a_wave_has_its_power_in_the_band_of_its_frequency():
    for cycles, band in ((1, 1), (2, 1), (3, 2), (5, 3), (8, 4)):
        power = Detail()(wave(cycles))[0, 1:]
        assert power.argmax() + 1 == band
        assert power[band - 1] > 0.99 * power.sum()


def test_power_in_the_bands_is_the_variance():
    images = torch.randint(256, (3, 3, 10, 7), dtype=torch.uint8)
    counts = torch.stack([(rings(10, 7) == band).sum() for band in range(1, BANDS + 1)])
    power = (Detail()(images)[:, 1:] * counts).sum(dim=1) / (10 * 7)
    variance = (images / 255).var(dim=(2, 3), correction=0).mean(dim=1)
    assert torch.allclose(power, variance)


def test_blur_is_below_1_noise_above_and_the_images_themselves_1():
    data = Digits()
    real = data.source("train")[torch.arange(500)]["image"]
    blurred = torch.nn.functional.avg_pool2d(real.float(), 3, 1, padding=1).to(torch.uint8)
    noisy = (real + 50 * torch.randn(real.shape)).clamp(0, 255).to(torch.uint8)
    same, less, more, turned = (
        sharpness(Detail()(real), Detail()(images)) for images in (real, blurred, noisy, real.mT)
    )
    assert same == {"sharpness": 1, "spectrum_db": 0}
    assert turned == pytest.approx(same, abs=1e-3)
    assert less["sharpness"] < 0.5 < 1.05 < more["sharpness"]
    assert min(less["spectrum_db"], more["spectrum_db"]) > 0.2


def test_a_blank_is_not_infinitely_far():
    real, blank = Detail()(wave(3)), Detail()(torch.zeros(4, 1, 16, 16, dtype=torch.uint8))
    assert sharpness(real, blank)["spectrum_db"] < 130
    assert sharpness(blank, real) == {}


def test_what_is_no_picture_has_none():
    for images in (torch.rand(5, 2, 1, 1), torch.zeros(5, 1, 1, 1, dtype=torch.uint8)):
        detail = Detail()(images)
        assert torch.equal(detail, torch.zeros(5, 1 + BANDS))
        assert sharpness(detail, detail) == {}
