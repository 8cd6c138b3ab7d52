"""Arranging images in figures."""

import torch
from torch.nn.functional import pad

from zoo.config.errors import UserError
from zoo.media.images import grid, to_uint8


def as_images(model, samples):
    """uint8 images (N, C, H, W) on the CPU; UserError if the samples are something else."""
    if samples.dim() != 4 or samples.shape[1] not in (1, 3):
        raise UserError(
            f"{type(model).__name__} makes no images, but samples of {tuple(samples.shape[1:])}: "
            "only the one picture of mode=images shows them."
        )
    return to_uint8(samples).cpu()


def images_of(model, points, condition, numbers):
    """Images of latents (N, Z), each under the conditions with its number."""
    conditions = {name: values[numbers] for name, values in condition.items()}
    return as_images(model, model.sample(len(points), conditions | {"latent": points}))


def panel(images, columns):
    """uint8 images (N, C, H, W), N a multiple of columns, apart from each other on white."""
    cells = [pad(grid(image[None]), (2, 2, 2, 2), value=255) for image in images]
    rows = [torch.cat(cells[i : i + columns], dim=2) for i in range(0, len(cells), columns)]
    return torch.cat(rows, dim=1)


def beside(*panels):
    """Panels (3, H, W) from left to right on white, their lower edges in line."""
    height = max(panel.shape[1] for panel in panels)
    spaced = [pad(panel, (6, 6, height - panel.shape[1], 0), value=255) for panel in panels]
    return torch.cat(spaced, dim=2)


def below(upper, lower):
    """Two panels of the same width, one below the other, with white between them."""
    return torch.cat([pad(upper, (0, 0, 0, 16), value=255), lower], dim=1)


def sign(symbol, side):
    """One of - + = in black on white, uint8 (3, side, side / 2)."""
    figure = torch.full((3, side, side // 2), 255, dtype=torch.uint8)
    middle, width = side // 2, max(side // 24, 1)
    offsets = {"-": [0], "+": [0], "=": [-3 * width, 3 * width]}[symbol]
    for y in (middle + offset for offset in offsets):
        figure[:, y - width : y + width, side // 8 : -(side // 8)] = 0
    if symbol == "+":
        x, reach = side // 4, side // 4 - side // 8
        figure[:, middle - reach : middle + reach, x - width : x + width] = 0
    return figure
