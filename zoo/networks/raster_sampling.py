"""Sampling of images pixel by pixel, from the left of the top row to the right of the bottom row.

A network with a method `steps(images, condition)` caches its features. Sampling is then hundreds of
times as fast as with a pass over the whole image for each pixel, and gives the same samples.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from zoo.precision import at_least_float32


class Steps(Protocol):
    """Computes a network's outputs pixel by pixel, for images that are sampled in place."""

    def row(self, r: int) -> None:
        """Prepare row r; called when the rows above are sampled."""

    def pixel(self, r: int, c: int, part: int | slice) -> Tensor:
        """Return outputs (K, N) for a part of pixel (r, c), when all before it is sampled."""


def draw(
    steps: Steps,
    images: Tensor,
    noise: Tensor,
    choose: Callable[[Tensor, Tensor, slice], Tensor],
    parts: Sequence[slice],
    hidden: Tensor | None = None,
) -> Tensor:
    """Sample images in place.

    Args:
        steps: Steps of a network on the same tensor of images.
        images: (N, C, H, W).
        noise: Uniform random numbers (N, U, H, W).
        choose: Function of outputs (K, N), noise (N, U) of the pixel and the part, to the values
            (N, channels of the part).
        parts: Slices of the channels that are sampled together, in order.
        hidden: Pixels to sample, (N, 1, H, W) bool. Other pixels keep their values. Default: all
            pixels.

    Returns:
        The images.
    """
    _, _, height, width = images.shape
    for r in range(height):
        steps.row(r)
        for c in range(width):
            for index, part in enumerate(parts):
                values = choose(steps.pixel(r, c, index), noise[:, :, r, c], part)
                if hidden is not None:
                    values = torch.where(hidden[:, :, r, c], values, images[:, part, r, c])
                images[:, part, r, c] = values
    return images


def draw_levels(logits: Tensor, noise: Tensor) -> Tensor:
    """Sample levels by inverting their cumulative distribution.

    Args:
        logits: (K, N).
        noise: Uniform random numbers (N,).

    Returns:
        (N,) int64, from 0 to K - 1.
    """
    probabilities = at_least_float32(logits).softmax(dim=0)
    level = (probabilities.cumsum(dim=0) < noise).sum(dim=0)
    # The probabilities can sum to less than 1 because of rounding.
    return level.clamp(max=len(logits) - 1)


class UncachedSteps:
    """Steps of a network without a method `steps`: one pass over the images per sub-pixel.

    Args:
        network: Network from images to logits (N, C, K, H, W) of the levels of each sub-pixel.
        images: (N, C, H, W).
        *condition: Further arguments of the network.
    """

    def __init__(self, network: nn.Module, images: Tensor, *condition: Tensor | None):
        self.network, self.images, self.condition = network, images, condition

    def row(self, r: int) -> None:
        """Do nothing."""

    def pixel(self, r: int, c: int, part: int | slice) -> Tensor:
        """Return logits (K, N) of channel `part` at pixel (r, c)."""
        return self.network(self.images, *self.condition)[:, part, :, r, c].T


class UncachedPixelSteps(UncachedSteps):
    """Uncached steps of a network whose outputs (N, P, H, W) hold all channels of a pixel."""

    def pixel(self, r: int, c: int, part: int | slice) -> Tensor:
        """Return outputs (P, N) at pixel (r, c)."""
        return self.network(self.images, *self.condition)[:, :, r, c].T
