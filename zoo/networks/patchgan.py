"""The PatchGAN of pix2pix (Isola et al. 2017, arXiv 1611.07004, section 6.1.2)."""

from itertools import pairwise

import torch
from torch import nn

from zoo.networks.unet import initialized

# The side of the patch that one logit sees, in pixels -> how many layers halve the maps.
FIELDS = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}


class PatchGAN(nn.Module):
    """Images (N, C, H, W), with their sources (N, C', H, W) or alone -> logits (N, H', W').

    field: a key of FIELDS. Each logit is of one patch of so many pixels a side, cut off at the
    edges; of images of 256 and a field of 70 there are 30x30. ValueError where a small image would
    leave no logit.
    """

    def __init__(self, image_size, channels, width, field):
        super().__init__()
        if field not in FIELDS:
            fields = ", ".join(map(str, FIELDS))
            raise ValueError(f"model.receptive_field={field}: there are {fields}.")
        least = 3 * 2 ** FIELDS[field]
        if field > 1 and image_size < least:
            raise ValueError(
                f"model.receptive_field={field} is for images of {least} pixels or more, not "
                f"{image_size}: take a smaller one."
            )
        layers = of_pixels(channels, width) if field == 1 else of_patches(channels, width, field)
        self.layers = initialized(nn.Sequential(*layers))

    def forward(self, images, source=None):
        seen = images if source is None else torch.cat([source, images], dim=1)
        return self.layers(seen).squeeze(1)


def of_pixels(channels, width):
    """C64-C128 of 1x1 kernels."""
    return [
        nn.Conv2d(channels, width, 1),
        nn.LeakyReLU(0.2),
        *convolution(width, 2 * width, 1),
        nn.Conv2d(2 * width, 1, 1),
    ]


def of_patches(channels, width, field):
    """C64-C128-C256-C512 for 70: all but the last one halve the maps."""
    layers = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    widths = [width * min(2**k, 8) for k in range(FIELDS[field] + 1)]
    for k, (before, after) in enumerate(pairwise(widths), start=1):
        stride = 2 if k < FIELDS[field] else 1
        layers += convolution(before, after, 4, stride=stride, padding=1)
    return [*layers, nn.Conv2d(widths[-1], 1, 4, padding=1)]


def convolution(before, after, kernel, **placed):
    return [
        nn.Conv2d(before, after, kernel, bias=False, **placed),
        nn.BatchNorm2d(after),
        nn.LeakyReLU(0.2),
    ]
