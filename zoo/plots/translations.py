"""Test images beside the images that a model makes from their source or context."""

from typing import Any

import torch
from torch import Tensor

from zoo.media.images import grid
from zoo.plots.completions import occluded
from zoo.plots.grids import as_images, with_heads
from zoo.plots.held_out import held_out_batch


def translations(model: Any, data: Any, columns: int = 3, rows: int = 4) -> dict[str, Tensor]:
    """Draw test sources, and for each the real image and the model's.

    Args:
        model: A model that translates `source`.
        data: The data module, or None.
        columns: Triples in a row.
        rows: Number of rows.

    Returns:
        {"translations": uint8 (3, H, W)}; {} without test images.
    """
    batch = held_out_batch(model, data, columns * rows)
    if batch is None or model.hparams.source_channels not in (1, 3):
        return {}
    images = {
        "source": batch["source"],
        "real": batch["image"],
        "model": model.sample(len(batch["image"]), batch),
    }
    parts = {head: as_images(model, values) for head, values in images.items()}
    return {"translations": triples(parts, columns)}


def inpaintings(model: Any, data: Any, columns: int = 3, rows: int = 4) -> dict[str, Tensor]:
    """Draw test images of which a part is hidden, each filled in by a model, and the real image.

    Args:
        model: A model with `mask(batch)` and `fill(image, mask)`.
        data: The data module, or None.
        columns: Triples in a row.
        rows: Number of rows.

    Returns:
        {"inpaintings": uint8 (3, H, W)}; {} without test images.
    """
    batch = held_out_batch(model, data, columns * rows)
    if batch is None:
        return {}
    image, mask = batch["image"], model.mask(batch)
    real, filled = (as_images(model, images) for images in (image, model.fill(image, mask)))
    context = occluded(real[:, None], mask)[:, 0]
    return {"inpaintings": triples({"context": context, "model": filled, "real": real}, columns)}


def triples(parts: dict[str, Tensor], columns: int) -> Tensor:
    """Draw sets of images side by side, under heads.

    Args:
        parts: {head: uint8 images (N, C, H, W)}.
        columns: Groups of one image of each set in a row.

    Returns:
        uint8 (3, H, W).
    """
    cells = torch.stack([images.expand(-1, 3, -1, -1) for images in parts.values()], dim=1)
    cells = cells[: max(len(cells) // columns, 1) * columns]
    groups = min(columns, len(cells))
    figure = grid(cells.flatten(0, 1), columns=len(parts) * groups)
    return with_heads(figure, [(head, 1) for head in parts] * groups)
