"""Masks (N, 1, H, W) of Context Encoders, true where an image is hidden.

Pathak et al. 2016 (arXiv 1604.07379), section 3.3.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

BLOCKS = 4  # squares of a quarter of the side: a quarter of the area, where they do not overlap
CELLS = 8  # values of noise along a side of an image, as in the authors' code
SHARE = 0.2, 0.3  # of the pixels in a random region


def centre(count: int, size: int, overlap: int, device: torch.device | None = None) -> Tensor:
    """Mask the middle half of each side, less `overlap` pixels at each edge: (count, 1, H, W)."""
    mask = torch.zeros(count, 1, size, size, dtype=torch.bool, device=device)
    edge = size // 4 + overlap
    mask[:, :, edge : size - edge, edge : size - edge] = True
    return mask


def blocks(count: int, size: int, device: torch.device | None = None) -> Tensor:
    """Mask BLOCKS squares at random places, which may overlap: (count, 1, H, W)."""
    side, axis = size // 4, torch.arange(size, device=device)
    start = torch.randint(size - side + 1, (count, BLOCKS, 2, 1), device=device)
    inside = (start <= axis) & (axis < start + side)  # (N, BLOCKS, 2, size)
    return (inside[:, :, 0, :, None] & inside[:, :, 1, None]).any(dim=1, keepdim=True)


def regions(count: int, size: int, device: torch.device | None = None) -> Tensor:
    """Mask 20 to 30 % of the pixels, where smooth noise is smallest: (count, 1, H, W)."""
    cell, each = math.ceil(size / CELLS), torch.arange(count, device=device)
    noise = torch.rand(count, 1, CELLS + 4, CELLS + 4, device=device)  # two more on each side
    level = interpolate(noise, scale_factor=cell, mode="bicubic")[:, 0]
    row, column = (cell + torch.randint(cell, (count, 2), device=device)).T  # crops off the grid
    level = level.unfold(1, size, 1).unfold(2, size, 1)[each, row, column].flatten(1)
    least, most = math.ceil(SHARE[0] * size**2), math.floor(SHARE[1] * size**2)
    hidden = least + torch.randint(most - least + 1, (count, 1), device=device)
    rank = level.argsort(dim=1).argsort(dim=1)
    return (rank < hidden).view(count, 1, size, size)


def band(mask: Tensor, width: int) -> Tensor:
    """Mask the visible pixels within `width` of a hidden one, diagonals included."""
    near = max_pool2d(mask.float(), 2 * width + 1, stride=1, padding=width) > 0
    return near & ~mask


def paste(image: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
    """Replace the masked pixels of images (N, C, H, W) by those of other images."""
    return torch.where(mask, fake, image)
