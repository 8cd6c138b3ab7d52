"""Accuracy of predicted frames on moving pixels, compared with copies of the last frame.

Frames are (N, C, H, W) in [-1, 1] and `where` is bool (N, 1, H, W). Each measure is (N,), with NaN
for frames where `where` is false everywhere.
"""

from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d
from torchmetrics.functional.image import structural_similarity_index_measure

from zoo.metrics import clips

PEAK = 2.0  # the range of [-1, 1]
MAX_DECIBELS = 50.0  # value for equal frames
STEP = 0.1  # a pixel is moving if it changes by more than this
REACH = 2  # pixels within this distance of a moving pixel are also moving


def moving(last: Tensor, real: Tensor) -> Tensor:
    """Return a mask (N, 1, H, W) of pixels that changed since the last frame, or are near one."""
    changes = (real - last).abs().amax(dim=1, keepdim=True) > STEP
    return max_pool2d(changes.float(), 2 * REACH + 1, stride=1, padding=REACH) > 0


def psnr(fake: Tensor, real: Tensor, where: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio in decibels, at most MAX_DECIBELS."""
    return decibels(mean((fake - real).square(), where))


def ssim(fake: Tensor, real: Tensor, where: Tensor) -> Tensor:
    """Return the structural similarity, with a Gaussian window of 11 pixels, sigma 1.5.

    The similarity is computed from all pixels, and averaged over `where`.
    """
    fake, real = (
        (frames + 1) / 2 for frames in (fake, real)
    )  # one of its factors compares brightness
    _, similarity = structural_similarity_index_measure(
        fake, real, data_range=1.0, return_full_image=True
    )
    return mean(similarity, where)


def sharpness(fake: Tensor, real: Tensor, where: Tensor) -> Tensor:
    """Return the difference of gradient magnitudes in decibels, at most MAX_DECIBELS.

    10 log10 (PEAK² / mean |(|∂x Y| + |∂y Y|) - (|∂x Y^| + |∂y Y^|)|), Mathieu et al. 2015 (arXiv
    1511.05440). As in the authors' code, the error is not squared.
    """
    return decibels(mean((magnitudes(fake) - magnitudes(real)).abs(), where[:, :, 1:, 1:]))


def magnitudes(frames: Tensor) -> Tensor:
    """Return |Y_ij - Y_i-1,j| + |Y_ij - Y_i,j-1|, (N, C, H - 1, W - 1)."""
    return frames.diff(dim=2).abs()[:, :, :, 1:] + frames.diff(dim=3).abs()[:, :, 1:]


def contrast(fake: Tensor, real: Tensor, where: Tensor) -> Tensor:
    """Return the standard deviation of pixels divided by that of real ones: 0 if blank."""
    variances = []
    for frames in (fake, real):
        centered = frames - mean(frames, where)[:, None, None, None]
        variances.append(mean(centered.square(), where))
    fake, real = variances
    return (fake / real).sqrt().where(real > 0, torch.nan)


def mean(values: Tensor, where: Tensor) -> Tensor:
    """Return the mean (N,) of values (N, C, H, W) over some pixels."""
    where = where.expand_as(values)
    return (values * where).flatten(1).sum(dim=1) / where.flatten(1).sum(dim=1)


def decibels(error: Tensor) -> Tensor:
    """Return the decibels of mean errors, at most MAX_DECIBELS."""
    return (10 * (PEAK**2 / error).log10()).clamp(max=MAX_DECIBELS)


MEASURES = {
    "psnr_moving": psnr,
    "ssim_moving": ssim,
    "sharp_moving": sharpness,
    "contrast_moving": contrast,
    "psnr": psnr,
}


def prediction_scores(model: Any, data: Any, split: str) -> dict[str, float]:
    """Measure the frames that a model predicts one by one for a split's videos.

    Args:
        model: A video_prediction model.
        data: The data module.
        split: "val" or "test".

    Returns:
        Means over videos; {} without videos. psnr_moving_frame1_SPLIT is for the moving pixels of
        the first frame, without videos that have none. psnr_frame1_SPLIT is for all pixels.
        copy_... uses the last past frame as the prediction. A contrast below 0.5 means that frames
        become blank.
    """
    found: dict[str, list[Tensor]] = {}
    for batch in clips.batches(model, data, split, "predictions"):
        past, future = model.split(batch["video"])
        before = torch.cat([past[:, -1:], future[:, :-1]], dim=1)
        fakes = {"": model.predict(past, future.shape[1]), "copy_": past[:, -1:].expand_as(future)}
        for step in range(future.shape[1]):
            real = future[:, step]
            motion = moving(before[:, step], real)
            for (baseline, fake), what in product(fakes.items(), MEASURES):
                where = motion if "moving" in what else torch.ones_like(motion)
                value = MEASURES[what](fake[:, step], real, where)
                found.setdefault(f"{baseline}{what}_frame{step + 1}_{split}", []).append(value)
    return {name: torch.cat(values).nanmean().item() for name, values in found.items()}
