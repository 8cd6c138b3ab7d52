"""Test images beside what a model makes of their source or context."""

import torch

from zoo.plots.completions import occluded
from zoo.plots.grids import as_images, panel
from zoo.plots.held_out import held_out_batch


def translations(model, data, columns=3, rows=4):
    """{"translations": test sources, each with the real image and the model's beside it}, or {}."""
    batch = held_out_batch(model, data, columns * rows)
    if batch is None or model.hparams.source_channels not in (1, 3):
        return {}
    parts = batch["source"], batch["image"], model.sample(len(batch["image"]), batch)
    return {"translations": triples([as_images(model, images) for images in parts], columns)}


def inpaintings(model, data, columns=3, rows=4):
    """{"inpaintings": test images of which a part is hidden, each with what the model fills in and
    the whole image beside it}, or {}."""
    batch = held_out_batch(model, data, columns * rows)
    if batch is None:
        return {}
    image, mask = batch["image"], model.mask(batch)
    real, filled = (as_images(model, images) for images in (image, model.fill(image, mask)))
    context = occluded(real[:, None], mask)[:, 0]
    return {"inpaintings": triples([context, filled, real], columns)}


def triples(parts, columns):
    """uint8 (3, H, W) of three sets of images (N, C, H, W): `columns` of one each side by side."""
    cells = torch.stack([images.expand(-1, 3, -1, -1) for images in parts], dim=1)
    cells = cells[: max(len(cells) // columns, 1) * columns]
    return panel(cells.flatten(0, 1), columns=3 * min(columns, len(cells)))
