import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torchmetrics.functional.image import peak_signal_noise_ratio

from datamodules.loading.sources import TensorSource
from zoo.metrics.video_psnr import (
    MAX_DECIBELS,
    contrast,
    magnitudes,
    moving,
    prediction_scores,
    psnr,
    sharpness,
    ssim,
)


def frames(count=3, height=14, width=17, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(count, 1, height, width, generator=generator) - 1


def everywhere(images):
    return torch.ones_like(images[:, :1]).bool()


def left(images):
    where = everywhere(images)
    where[..., images.shape[-1] // 2 :] = False
    return where


def test_psnr_of_a_constant_error_is_that_of_its_size():
    real = frames()
    found = psnr(real + torch.tensor([0.2, 0.02, 0.0]).view(3, 1, 1, 1), real, everywhere(real))
    assert found.tolist() == pytest.approx([20, 40, MAX_DECIBELS], abs=1e-3)
    fake = frames(seed=1)
    for one, other, value in zip(fake, real, psnr(fake, real, everywhere(real)), strict=True):
        expected = peak_signal_noise_ratio(one, other, data_range=2.0)
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("measure", [psnr, sharpness, contrast])
def test_only_the_pixels_asked_for_count(measure):
    real, fake = frames(), frames(seed=1)
    half = left(real)
    other = torch.where(half, fake, frames(seed=2))
    torch.testing.assert_close(measure(fake, real, half), measure(other, real, half))
    assert not torch.allclose(measure(fake, real, ~half), measure(other, real, ~half))
    assert measure(fake, real, half & ~half).isnan().all()


def test_ssim_is_that_of_wang_et_al():
    """With Gaussian weights and no sample covariance, away from the edges."""
    real, fake = frames(1, 30, 40), frames(1, 30, 40, seed=1)
    fake = 0.7 * real + 0.3 * fake
    inside = torch.zeros_like(real).bool()
    inside[..., 5:-5, 5:-5] = True
    x, y = (((image[0, 0] + 1) / 2).double().numpy() for image in (fake, real))

    def blur(image):
        return gaussian_filter(image, 1.5, truncate=3.5)

    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    values = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    expected = np.mean(values[5:-5, 5:-5])
    assert ssim(fake, real, inside).item() == pytest.approx(expected, abs=1e-4)
    assert 0.3 < expected < 0.97
    assert ssim(real, real, everywhere(real)).item() == pytest.approx(1)


def test_sharpness_by_hand():
    """Magnitudes of a ramp along one axis are its slope; the error is no square."""
    ramp = 0.1 * torch.arange(6.0).expand(1, 1, 4, 6) - 0.3
    flat = torch.zeros_like(ramp)
    for one in (ramp, -ramp):
        torch.testing.assert_close(magnitudes(one), torch.full((1, 1, 3, 5), 0.1))
        found = sharpness(one, flat, everywhere(ramp))
        assert found.item() == pytest.approx(10 * math.log10(4 / 0.1), abs=1e-4)
    assert sharpness(ramp + 0.2, ramp, everywhere(ramp)).item() == MAX_DECIBELS
    both = ramp + 0.2 * torch.arange(4.0)[:, None]
    torch.testing.assert_close(magnitudes(both), torch.full((1, 1, 3, 5), 0.3))


def test_contrast_is_the_ratio_of_deviations():
    real = frames()
    fake = torch.stack([0.5 * real[0] + 0.3, torch.full_like(real[1], 0.2), 2 * real[2]])
    found = contrast(fake, real, everywhere(real))
    torch.testing.assert_close(found, torch.tensor([0.5, 0, 2]), rtol=0, atol=1e-4)
    assert contrast(real, torch.zeros_like(real), everywhere(real)).isnan().all()


def test_what_changes_moves_and_its_surroundings_too():
    last = torch.zeros(2, 3, 9, 12)
    real = last.clone()
    real[0, 1, 4, 0] = 0.11
    real[1] = 0.09
    where = moving(last, real)
    assert where.shape == (2, 1, 9, 12)
    assert where[0].nonzero()[:, 1:].tolist() == [[y, x] for y in range(2, 7) for x in range(3)]
    assert not where[1].any()


class Clips:
    """Test videos as they are."""

    def __init__(self, video):
        self.video = video

    def source(self, split):
        return TensorSource(video=self.video) if split == "test" else None

    def prepare_batch(self, batch, model):
        return batch


class Repeats:
    """Predicts the last frame of the past, and 0.2 more each time."""

    device = torch.device("cpu")

    def split(self, video):
        return video[:, :2], video[:, 2:]

    def predict(self, past, count):
        steps = torch.arange(1, count + 1).view(1, count, 1, 1, 1)
        return past[:, -1:] + 0.2 * steps


def test_predictions_stand_beside_copies_of_the_last_past_frame():
    still = frames(3, 12, 12)[:, None].repeat(1, 4, 1, 1, 1) / 4
    found = prediction_scores(Repeats(), Clips(still), "test")
    assert math.isnan(found["psnr_moving_frame1_test"])
    assert found["copy_psnr_frame2_test"] == MAX_DECIBELS
    assert found["psnr_frame1_test"] == pytest.approx(20, abs=1e-3)
    brighter = still.clone()
    brighter[0] += 0.3 * torch.arange(4).view(4, 1, 1, 1)
    found = prediction_scores(Repeats(), Clips(brighter), "test")
    of = {
        name: [found[f"{name}_frame{n}_test"] for n in (1, 2)] for name in ("psnr_moving", "psnr")
    }
    expected = [20 * math.log10(2 / error) for error in (0.1, 0.2)]  # of the one that moves
    assert of["psnr_moving"] == pytest.approx(expected, abs=1e-3)
    rest = [20 * math.log10(2 / error) for error in (0.2, 0.4)]
    assert of["psnr"] == pytest.approx(
        [(a + 2 * b) / 3 for a, b in zip(expected, rest, strict=True)]
    )
    copies = [found[f"copy_psnr_moving_frame{n}_test"] for n in (1, 2)]
    assert copies == pytest.approx([20 * math.log10(2 / e) for e in (0.3, 0.6)], abs=1e-3)
    assert found["contrast_moving_frame2_test"] == pytest.approx(1)


def test_motion_is_that_since_the_real_frame_before():
    video = frames(2, 12, 12)[:, None].repeat(1, 4, 1, 1, 1) / 4
    video[:, 2:] += 0.3  # nothing moves after the first frame of the future
    found = prediction_scores(Repeats(), Clips(video), "test")
    assert found["psnr_moving_frame1_test"] == pytest.approx(20 * math.log10(2 / 0.1), abs=1e-3)
    assert math.isnan(found["psnr_moving_frame2_test"])


def test_without_test_videos_nothing_is_reported():
    assert prediction_scores(Repeats(), Clips(torch.zeros(0, 4, 1, 12, 12)), "test") == {}


def test_many_test_videos_are_a_fixed_choice(monkeypatch):
    monkeypatch.setattr("zoo.metrics.clips.MAX_CLIPS", 5)
    video, few = frames(9 * 3, 12, 12).view(9, 3, 1, 12, 12), []
    predictor = Repeats()
    predictor.split = lambda video: few.append(video) or (video[:, :2], video[:, 2:])
    numbers = [prediction_scores(predictor, Clips(video), "test") for _ in range(2)]
    assert numbers[0] == numbers[1]
    assert torch.equal(few[0], few[1])
    assert len(few[0].unique(dim=0)) == 5
