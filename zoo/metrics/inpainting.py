"""Errors and sharpness of filled-in pixels of images."""

from typing import Any

import torch
from torch import Tensor

from zoo.media.images import to_uint8
from zoo.metrics.compute import count_name

MAX_IMAGES = 1000
BATCH = 100  # images at once
MAX_PSNR = 50.0  # decibels


def hole_scores(model: Any, data: Any, split: str) -> dict[str, float]:
    """Measure how well a model fills in hidden pixels of a split. Call this in `evaluating`.

    Args:
        model: A model with `mask(batch)` and `fill(image, mask)`.
        data: The data module.
        split: "val" or "test"; at most MAX_IMAGES of its images are used.

    Returns:
        The numbers of `scores`, with the protocol in their names; {} for an empty split.
    """
    source = data.source(split)
    if not len(source):
        return {}
    found = []
    for chosen in torch.arange(min(MAX_IMAGES, len(source))).split(BATCH):
        batch = data.prepare_batch(source[chosen], model)
        mask = model.mask(batch)
        images = batch["image"], model.fill(batch["image"], mask)
        found.append([*(to_uint8(one).cpu() for one in images), mask.cpu()])
    real, fake, mask = (torch.cat(parts) for parts in zip(*found, strict=True))
    name = f"hole_{data.name}_{count_name(len(real))}_{split}"
    return {f"{what}_{name}": value for what, value in scores(real, fake, mask).items()}


def scores(real: Tensor, fake: Tensor, mask: Tensor) -> dict[str, float]:
    """Compare the hidden pixels of real and of filled-in images.

    Args:
        real: uint8 (N, C, H, W).
        fake: uint8 (N, C, H, W).
        mask: (N, 1, H, W) bool, true where an image is hidden.

    Returns:
        l1, l2: mean absolute and squared errors of values in [0, 1]. psnr: PSNR of l2 in decibels.
        psnr_each: PSNR of each image, at most MAX_PSNR, averaged as in the paper over the images
        that have hidden pixels. sharpness: gradient energy between hidden neighbors, divided by
        that of the real images. It is below 1 for blurred images.
    """
    real, fake = real.double() / 255, fake.double() / 255
    error = (fake - real).where(mask, 0)
    count = mask.sum(dim=(1, 2, 3)) * real.shape[1]
    squares = error.square().sum(dim=(1, 2, 3))
    l2 = squares.sum() / count.sum()
    l2_each = (squares / count)[count > 0]
    numbers = {
        "l1": error.abs().sum() / count.sum(),
        "l2": l2,
        "psnr": (-10 * l2.log10()).clamp(max=MAX_PSNR),
        "psnr_each": (-10 * l2_each.log10()).clamp(max=MAX_PSNR).mean(),
        "sharpness": gradient_energy(fake, mask) / gradient_energy(real, mask),
    }
    return {name: number.item() for name, number in numbers.items()}


def gradient_energy(images: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared difference between hidden neighbors, for rows plus columns."""
    energy = torch.zeros(())
    for dim in (2, 3):
        pairs = mask.narrow(dim, 1, mask.shape[dim] - 1) & mask.narrow(dim, 0, mask.shape[dim] - 1)
        squares = images.diff(dim=dim).square().where(pairs, 0)
        energy = energy + squares.sum() / (pairs.sum() * images.shape[1]).clamp(min=1)
    return energy.clamp(min=1e-12)
