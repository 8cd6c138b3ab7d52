"""The PatchGAN of pix2pix (Isola et al. 2017, arXiv 1611.07004, section 6.1.2)."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from zoo.networks.he_init import init_he_
from zoo.networks.unet import init_weights_

Norm = Callable[[int], nn.Module] | None  # channels -> a normalization layer; None for no norm

# Size in pixels of the patch that one logit depends on -> number of layers that halve the maps.
FIELDS = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}

# Normalization after each convolution except the first and the last.
NORMS: dict[str, Norm] = {
    "none": None,
    "instance": partial(nn.InstanceNorm2d, affine=True),
    "batch": nn.BatchNorm2d,
}


class PatchGAN(nn.Module):
    """Images (N, C, H, W), and optionally sources (N, C', H, W) -> logits (N, H', W').

    Args:
        image_size: Height and width of the images.
        channels: Channels of the image, plus those of the source if there is one.
        width: Channels after the first convolution.
        field: Size in pixels of the patch that one logit depends on; a key of FIELDS. Images of
            256 pixels give 30x30 logits with a field of 70.
        norm: A key of NORMS. Real and generated images are separate batches. Batch norm subtracts
            the mean of each batch, which removes differences in brightness and contrast between
            them. With a norm, weights are initialized from N(0, 0.02), as in the paper. Without a
            norm, the logits would then be nearly equal for all patches, so weights have He's
            initialization.

    Raises:
        ValueError: The field or the norm is unknown, or the image is too small for the field.
    """

    def __init__(self, image_size: int, channels: int, width: int, field: int, norm: str = "none"):
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"model.norm={norm}: choose one of {', '.join(NORMS)}.")
        if field not in FIELDS:
            fields = ", ".join(map(str, FIELDS))
            raise ValueError(f"model.receptive_field={field}: choose one of {fields}.")
        smallest = 3 * 2 ** FIELDS[field]
        if field > 1 and image_size < smallest:
            raise ValueError(
                f"model.receptive_field={field} needs images of at least {smallest} pixels, not "
                f"{image_size}: choose a smaller field."
            )
        if field == 1:
            layers = pixel_layers(channels, width, NORMS[norm])
        else:
            layers = patch_layers(channels, width, field, NORMS[norm])
        self.layers = nn.Sequential(*layers)
        if norm == "none":
            init_he_(self.layers, slope=0.2)
        else:
            self.layers.apply(init_weights_)

    def forward(self, images: Tensor, source: Tensor | None = None) -> Tensor:
        inputs = images if source is None else torch.cat([source, images], dim=1)
        return self.layers(inputs).squeeze(1)  # (N, H', W')


def pixel_layers(channels: int, width: int, norm: Norm) -> list[nn.Module]:
    """Return the layers of a field of 1: C64-C128 with 1x1 kernels."""
    return [
        nn.Conv2d(channels, width, 1),
        nn.LeakyReLU(0.2),
        *conv_block(width, 2 * width, 1, norm),
        nn.Conv2d(2 * width, 1, 1),
    ]


def patch_layers(channels: int, width: int, field: int, norm: Norm) -> list[nn.Module]:
    """Return the layers of other fields: C64-C128-C256-C512 for 70. The last has stride 1."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1)]
    layers += [nn.LeakyReLU(0.2)]
    widths = [width * min(2**k, 8) for k in range(FIELDS[field] + 1)]
    for k, (before, after) in enumerate(pairwise(widths), start=1):
        stride = 2 if k < FIELDS[field] else 1
        layers += conv_block(before, after, 4, norm, stride=stride, padding=1)
    return [*layers, nn.Conv2d(widths[-1], 1, 4, padding=1)]


def conv_block(
    before: int, after: int, kernel: int, norm: Norm, **settings: Any
) -> list[nn.Module]:
    """Return a convolution, the norm and leaky ReLU. Only without a norm is there a bias."""
    return [
        nn.Conv2d(before, after, kernel, bias=norm is None, **settings),
        *([norm(after)] if norm else []),
        nn.LeakyReLU(0.2),
    ]
