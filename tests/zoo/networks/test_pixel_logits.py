import math

import pytest
import torch

from zoo.media.images import from_levels
from zoo.networks import pixel_logits
from zoo.networks.pixel_logits import from_logits, to_logits


@pytest.mark.parametrize("num_levels", [2, 17, 256])
@pytest.mark.parametrize("alpha", [1e-6, 0.05])
def test_rounding_restores_every_level(num_levels, alpha):
    torch.manual_seed(0)
    images = from_levels(torch.arange(num_levels), num_levels).double().repeat(50, 3, 1, 1)
    logits, _ = to_logits(images, num_levels, alpha)
    assert logits.isfinite().all()
    torch.testing.assert_close(from_logits(logits, num_levels, alpha), images, check_dtype=False)


def test_the_slope_by_hand(monkeypatch):
    """Black of two levels with noise 1/2 is u = 1/4, and p = 0.1 + 0.8 / 4 = 0.3."""
    half = torch.tensor(0.5, dtype=torch.float64)
    monkeypatch.setattr(pixel_logits, "uniforms", lambda *shape, device: half.expand(*shape))
    logits, log_det = to_logits(-torch.ones(1, 3, 2, 2).double(), 2, 0.1)
    torch.testing.assert_close(logits, torch.full_like(logits, math.log(3 / 7)))
    assert log_det.item() == pytest.approx(12 * math.log(0.8 / (0.3 * 0.7)))


def test_noise_fills_a_bin():
    torch.manual_seed(0)
    logits, _ = to_logits(torch.full((1, 1, 100, 100), -1.0), 2, 0.1)
    pixels = (logits.sigmoid() - 0.1) / 0.8
    assert 0 <= pixels.min() < 0.001
    assert 0.499 < pixels.max() <= 0.5
    assert pixels.mean().item() == pytest.approx(0.25, abs=0.01)


def test_values_outside_the_range_are_clamped_and_gradients_pass_the_rounding():
    logits = torch.tensor([-9.0, -0.5, 0.0, 0.5, 9.0], requires_grad=True)
    images = from_logits(logits, 3, 0.05)
    assert images.tolist() == [-1, 0, 0, 0, 1]
    images.sum().backward()
    slopes = 2 / 2 * 3 / 0.9 * logits.sigmoid() * (1 - logits.sigmoid())
    expected = torch.tensor([0.0, 1, 1, 1, 0]) * slopes
    torch.testing.assert_close(logits.grad, expected.detach())
