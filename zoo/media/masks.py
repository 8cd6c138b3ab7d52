"""Masks of Context Encoders (Pathak et al. 2016, arXiv 1604.07379, section 3.3).

A mask is (N, 1, H, W) bool, true where an image is hidden.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from zoo.precision import uniforms

BLOCKS = 4  # number of squares with 1/4 of the side: 1/4 of the area if they do not overlap
CELLS = 8  # noise values along a side of an image, as in the authors' code
SHARE = 0.2, 0.3  # smallest and largest share of pixels in a random region


def center(count: int, size: int, overlap: int, device: torch.device | str | None = None) -> Tensor:
    """Return masks of the central square with half of the image's side.

    Args:
        count: Number of masks.
        size: Height and width of the images.
        overlap: The square is smaller by this number of pixels at each edge.
        device: Of the result.
    """
    mask = torch.zeros(count, 1, size, size, dtype=torch.bool, device=device)
    edge = size // 4 + overlap
    mask[:, :, edge : size - edge, edge : size - edge] = True
    return mask


def blocks(count: int, size: int, device: torch.device | str | None = None) -> Tensor:
    """Draw masks of BLOCKS squares at random positions, which may overlap."""
    side, axis = size // 4, torch.arange(size, device=device)
    start = torch.randint(size - side + 1, (count, BLOCKS, 2, 1), device=device)
    inside = (start <= axis) & (axis < start + side)  # (N, BLOCKS, 2, size)
    return (inside[:, :, 0, :, None] & inside[:, :, 1, None]).any(dim=1, keepdim=True)


def regions(count: int, size: int, device: torch.device | str | None = None) -> Tensor:
    """Draw masks of 20 to 30 % of the pixels, in regions where smooth noise is lowest."""
    cell, each = math.ceil(size / CELLS), torch.arange(count, device=device)
    noise = uniforms(count, 1, CELLS + 4, CELLS + 4, device=device)  # two more on each side
    level = interpolate(noise, scale_factor=cell, mode="bicubic")[:, 0]
    row, column = (cell + torch.randint(cell, (count, 2), device=device)).T  # crops off the grid
    level = level.unfold(1, size, 1).unfold(2, size, 1)[each, row, column].flatten(1)
    least, most = math.ceil(SHARE[0] * size**2), math.floor(SHARE[1] * size**2)
    hidden = least + torch.randint(most - least + 1, (count, 1), device=device)
    rank = level.argsort(dim=1).argsort(dim=1)
    return (rank < hidden).view(count, 1, size, size)


def band(mask: Tensor, width: int) -> Tensor:
    """Return the visible pixels within `width` (also diagonally) of a hidden pixel.

    Args:
        mask: (N, 1, H, W) bool.
        width: In pixels.
    """
    near = max_pool2d(mask.float(), 2 * width + 1, stride=1, padding=width) > 0
    return near & ~mask


def paste(image: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
    """Replace the hidden pixels of images by those of fake images, (N, C, H, W)."""
    return torch.where(mask, fake, image)
