"""How near images come to real ones, pixel by pixel."""

import math


def decibels(squared_error, peak=2.0):
    """Peak signal-to-noise ratio of a mean squared error; `peak` is 2 for images in [-1, 1]."""
    return 10 * math.log10(peak**2 / squared_error)


def psnr(reconstruct, data, device, split="test"):
    """Peak signal-to-noise ratio, in decibels, of the reconstructions of a split's images.

    reconstruct: of a batch whose `image` is in [-1, 1], images. Of the mean squared error over all
    images: not a mean of their ratios.
    """
    error = count = 0
    for batch in data.loader(split):
        real = batch["image"].to(device) / 127.5 - 1
        error += (reconstruct({"image": real}) - real).square().sum().item()
        count += real.numel()
    return decibels(error / count)
