"""How near images come to real ones, pixel by pixel."""

import math

from zoo.precision import widest


def decibels(squared_error, peak=2.0):
    """Peak signal-to-noise ratio of a mean squared error; `peak` is 2 for images in [-1, 1]."""
    return 10 * math.log10(peak**2 / squared_error) if squared_error else math.inf


def psnr(model, data, split):
    """{psnr_SPLIT: decibels} of a model's reconstructions of a split's images; {} of none.

    model: has `reconstruct` of a batch whose `image` is in [-1, 1]. Of the mean squared error over
    all images: not a mean of their ratios.
    """
    error, count, wide = 0, 0, widest(model.device)
    for batch in data.loader(split):
        real = data.prepare_batch(batch, model)["image"]
        found = model.reconstruct({"image": real})
        error += (found.to(wide) - real.to(wide)).square().sum().item()
        count += real.numel()
    return {f"psnr_{split}": decibels(error / count)} if count else {}
