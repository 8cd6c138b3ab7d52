"""Arranging images in figures."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo.config.errors import UserError
from zoo.media.images import grid, to_uint8
from zoo.media.text_images import heading, heading_height

Heads = Sequence[tuple[str, int]]  # (text, number of columns that it is above), from the left


def as_images(model: Any, samples: Tensor) -> Tensor:
    """Return samples as uint8 images (N, C, H, W) on the CPU.

    Raises:
        UserError: The samples are not images.
    """
    if samples.dim() != 4 or samples.shape[1] not in (1, 3):
        raise UserError(
            f"{type(model).__name__} generates samples of shape {tuple(samples.shape[1:])}, not "
            "images: use mode=images without separate=true."
        )
    return to_uint8(samples).cpu()


def images_of_latents(
    model: Any, latents: Tensor, condition: dict[str, Tensor], numbers: Tensor
) -> Tensor:
    """Return the uint8 images (N, C, H, W) of latents under chosen conditions.

    Args:
        model: A model with latents.
        latents: (N, Z).
        condition: A batch of conditions.
        numbers: (N,), the position in `condition` of each latent's conditions.
    """
    conditions = {name: values[numbers] for name, values in condition.items()}
    return as_images(model, model.sample(len(latents), conditions | {"latent": latents}))


def with_heads(figure: Tensor, heads: Heads) -> Tensor:
    """Add heads above the columns of a grid.

    Args:
        figure: uint8 (3, H, W), columns of equal width.
        heads: Texts and their numbers of columns, which add up to the columns of the figure.

    Returns:
        uint8 (3, H + h, W).
    """
    width = figure.shape[2] // sum(columns for _, columns in heads)
    height = max(heading_height([text], width * columns) for text, columns in heads)
    strip = torch.cat([heading(text, width * columns, height) for text, columns in heads], dim=2)
    return torch.cat([strip, figure], dim=1)


def numbered_grid(images: Tensor) -> Tensor:
    """Lay out uint8 images (N, C, H, W) like `grid`, with its number above each image."""
    cells = [
        torch.cat([heading(str(number), cell.shape[2]), cell], dim=1)
        for number, cell in enumerate(grid(image[None], columns=1) for image in images)
    ]
    columns = math.ceil(math.sqrt(len(cells)))
    blank = torch.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % columns)
    rows = [torch.cat(cells[i : i + columns], dim=2) for i in range(0, len(cells), columns)]
    return torch.cat(rows, dim=1)


def beside(*figures: Tensor) -> Tensor:
    """Lay out figures (3, H, W) from left to right on white, their lower edges aligned."""
    height = max(figure.shape[1] for figure in figures)
    spaced = [pad(figure, (6, 6, height - figure.shape[1], 0), value=255) for figure in figures]
    return torch.cat(spaced, dim=2)


def below(upper: Tensor, lower: Tensor) -> Tensor:
    """Lay out two figures of the same width one below the other, with white between them."""
    return torch.cat([pad(upper, (0, 0, 0, 16), value=255), lower], dim=1)


def sign(symbol: str, side: int) -> Tensor:
    """Draw one of - + = in black on white, uint8 (3, side, side / 2)."""
    figure = torch.full((3, side, side // 2), 255, dtype=torch.uint8)
    middle, width = side // 2, max(side // 24, 1)
    offsets = {"-": [0], "+": [0], "=": [-3 * width, 3 * width]}[symbol]
    for y in (middle + offset for offset in offsets):
        figure[:, y - width : y + width, side // 8 : -(side // 8)] = 0
    if symbol == "+":
        x, reach = side // 4, side // 4 - side // 8
        figure[:, middle - reach : middle + reach, x - width : x + width] = 0
    return figure
