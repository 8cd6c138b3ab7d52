"""The PatchGAN of pix2pix (Isola et al. 2017, arXiv 1611.07004, section 6.1.2)."""

from functools import partial
from itertools import pairwise

import torch
from torch import nn

from zoo.networks.he_init import init_he_
from zoo.networks.unet import initialized

# The side of the patch that one logit sees, in pixels -> how many layers halve the maps.
FIELDS = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}


# The normalization layers of the discriminator; they follow all convolutions but two.
NORMS = {
    "none": None,
    "instance": partial(nn.InstanceNorm2d, affine=True),
    "batch": nn.BatchNorm2d,
}


class PatchGAN(nn.Module):
    """Images (N, C, H, W), with their sources (N, C', H, W) or alone -> logits (N, H', W').

    Args:
        image_size: height and width of the images.
        channels: channels of the image, plus those of the source if there is one.
        width: channels after the first convolution.
        field: side of the patch, in pixels, that one logit depends on; a key of FIELDS. Images of
            256 pixels give 30x30 logits with a field of 70.
        norm: a key of NORMS. The discriminator is called on real and on generated images
            separately. Batch norm then subtracts from each of the two batches its own mean, and
            hides differences in brightness and contrast between them. Weights start from
            N(0, 0.02) where a norm follows, as in the paper; without a norm that would leave the
            logits the same for all patches, and they start from He's initialization.

    Raises:
        ValueError: for an unknown field or norm, or an image so small that no logit is left.
    """

    def __init__(self, image_size: int, channels: int, width: int, field: int, norm: str = "none"):
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"model.norm={norm}: choose one of {', '.join(NORMS)}.")
        if field not in FIELDS:
            fields = ", ".join(map(str, FIELDS))
            raise ValueError(f"model.receptive_field={field}: there are {fields}.")
        least = 3 * 2 ** FIELDS[field]
        if field > 1 and image_size < least:
            raise ValueError(
                f"model.receptive_field={field} is for images of {least} pixels or more, not "
                f"{image_size}: take a smaller one."
            )
        build = pixel_layers if field == 1 else patch_layers
        layers = build(channels, width, field, NORMS[norm])
        self.layers = nn.Sequential(*layers)
        if norm == "none":
            init_he_(self.layers, slope=0.2)
        else:
            initialized(self.layers)

    def forward(self, images, source=None):
        seen = images if source is None else torch.cat([source, images], dim=1)
        return self.layers(seen).squeeze(1)


def pixel_layers(channels, width, field, norm):
    """C64-C128 with 1x1 kernels."""
    return [
        nn.Conv2d(channels, width, 1),
        nn.LeakyReLU(0.2),
        *convolution(width, 2 * width, 1, norm),
        nn.Conv2d(2 * width, 1, 1),
    ]


def patch_layers(channels, width, field, norm):
    """C64-C128-C256-C512 for a field of 70: all but the last one halve the maps."""
    layers = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    widths = [width * min(2**k, 8) for k in range(FIELDS[field] + 1)]
    for k, (before, after) in enumerate(pairwise(widths), start=1):
        stride = 2 if k < FIELDS[field] else 1
        layers += convolution(before, after, 4, norm, stride=stride, padding=1)
    return [*layers, nn.Conv2d(widths[-1], 1, 4, padding=1)]


def convolution(before, after, kernel, norm, **placed):
    """A convolution, the norm and a leaky ReLU. The bias is left out where a norm follows."""
    return [
        nn.Conv2d(before, after, kernel, bias=norm is None, **placed),
        *([norm(after)] if norm else []),
        nn.LeakyReLU(0.2),
    ]
