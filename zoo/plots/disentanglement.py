"""Figures of swapped and of interpolated codes (Mathieu et al. 2016)."""

from collections.abc import Callable

import torch
from torch import Tensor

from zoo.media.images import grid, to_uint8
from zoo.plots import latent_paths
from zoo.plots.grids import below, beside

CodesDecoder = Callable[[Tensor, Tensor], Tensor]  # identity (N, S), latent (N, Z) -> (N, C, H, W)


def swaps(images: Tensor, identity: Tensor, latent: Tensor, decoder: CodesDecoder) -> Tensor:
    """Decode the identity of each image with the latent of each other.

    Args:
        images: (N, C, H, W) in [-1, 1], drawn above and on the left.
        identity: (N, S), used from the image above.
        latent: (N, Z), used from the image on the left.
        decoder: Decodes both.

    Returns:
        uint8 (3, H, W).
    """
    count = len(images)
    decoded = decoder(identity.repeat(count, 1), latent.repeat_interleave(count, dim=0))
    images, decoded = to_uint8(images).cpu(), to_uint8(decoded).cpu()
    corner = torch.full_like(grid(images[:1], columns=1), 255)
    left = below(corner, grid(images, columns=1))
    return beside(left, below(grid(images, columns=count), grid(decoded, columns=count)))


def interpolations(
    identity: Tensor, latent: Tensor, decoder: CodesDecoder, path_points: int = 8
) -> Tensor:
    """Interpolate two images' codes: the identity from top to bottom, the latent to the right.

    Args:
        identity: (2, S).
        latent: (2, Z).
        decoder: Decodes both.
        path_points: Number of images per row and column.

    Returns:
        uint8 (3, H, W).
    """
    downwards = latent_paths.linear(identity[:1], identity[1:], path_points)[0]
    rightwards = latent_paths.linear(latent[:1], latent[1:], path_points)[0]
    images = decoder(
        downwards.repeat_interleave(path_points, dim=0), rightwards.repeat(path_points, 1)
    )
    return grid(to_uint8(images).cpu(), columns=path_points)
