"""What flows at several scales share (Dinh, Sohl-Dickstein, Bengio 2017, arXiv 1605.08803).

Each module maps (N, C, H, W) to values of the same number and to log-determinants (N,) of its
Jacobian, and has the method `inverse`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle


class MultiScale(nn.Module):
    """Maps at several scales (section 3.6), (N, C, H, W) -> (N, Z).

    After each scale but the last, the second half of the channels become latents. A subclass
    defines `stages` and sets `last_shape`.
    """

    last_shape: tuple[int, int, int]  # (C, H, W) of the last latents

    def stages(self) -> list[Sequence[Any]]:
        """Return the maps of each scale. Those of all scales but the last include a Squeeze."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        latents, log_det = [], x.new_zeros(len(x))
        *others, last = self.stages()
        for stage in others:
            x, change = apply(stage, x)
            log_det = log_det + change
            x, factored = x.chunk(2, dim=1)
            latents.append(factored.flatten(1))
        x, change = apply(last, x)
        return torch.cat([*latents, x.flatten(1)], dim=1), log_det + change

    def inverse(self, latent: Tensor) -> Tensor:
        """Map latents (N, Z) to (N, C, H, W)."""
        halves = []
        *others, last = self.stages()
        for _ in others:
            half, latent = latent.chunk(2, dim=1)
            halves.append(half)
        x = invert(last, latent.unflatten(1, self.last_shape))
        for stage, half in zip(reversed(others), reversed(halves), strict=True):
            # Each scale's latents have the shape of all that came from later scales.
            x = invert(stage, torch.cat([x, half.view_as(x)], dim=1))
        return x


def apply(maps: Sequence[Any] | nn.ModuleList, x: Tensor) -> tuple[Tensor, Tensor]:
    """Apply maps one after another; return values and the sum of log-determinants (N,)."""
    log_det = x.new_zeros(len(x))
    for map_ in maps:
        x, change = map_(x)
        log_det = log_det + change
    return x, log_det


def invert(maps: Sequence[Any] | nn.ModuleList, y: Tensor) -> Tensor:
    """Invert `apply`."""
    map_: Any
    for map_ in reversed(maps):
        y = map_.inverse(y)
    return y


class Squeeze(nn.Module):
    """`squeeze` as a map, whose log-determinant is 0."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return squeeze(x), x.new_zeros(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        """Invert the map."""
        return unsqueeze(y)


def squeeze(x: Tensor) -> Tensor:
    """Turn 2x2 blocks into channels, (N, C, H, W) -> (N, 4 C, H / 2, W / 2).

    The C channels of the upper left pixels come first, then those of the lower right, upper right
    and lower left: the first half is a checkerboard.
    """
    blocks = pixel_unshuffle(x, 2).unflatten(1, (-1, 4))  # (N, C, 4, H / 2, W / 2)
    return blocks[:, :, [0, 3, 1, 2]].transpose(1, 2).flatten(1, 2)


def unsqueeze(x: Tensor) -> Tensor:
    """Invert `squeeze`, (N, 4 C, H, W) -> (N, C, 2 H, 2 W)."""
    blocks = x.unflatten(1, (4, -1)).transpose(1, 2)[:, :, [0, 2, 3, 1]]  # (N, C, 4, H, W)
    return pixel_shuffle(blocks.flatten(1, 2), 2)
