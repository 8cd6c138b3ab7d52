"""Test images beside their reconstructions."""

import torch

from zoo.plots.completions import beside_samples
from zoo.plots.grids import as_images, panel
from zoo.plots.held_out import held_out_inputs


def sampled_reconstructions(model, data, rows=6, count=6):
    """{"reconstructions": each row a test image, and `count` samples given its code}, or {}."""
    batch = held_out_inputs(model, data, rows)
    if batch is None:
        return {}
    real = as_images(model, batch["image"])[:, None]
    return {"reconstructions": beside_samples(model, batch, [real], count)}


def reconstructions(model, data, columns=8, rows=3):
    """{"reconstructions": test images, and below each row its `reconstruct`}, or {}."""
    batch = held_out_inputs(model, data, columns * rows)
    if batch is None:
        return {}
    columns = min(columns, len(batch["image"]))
    whole = len(batch["image"]) // columns * columns
    batch = {name: values[:whole] for name, values in batch.items()}
    pairs = [as_images(model, images) for images in (batch["image"], model.reconstruct(batch))]
    lines = zip(*(images.split(columns) for images in pairs), strict=True)
    cells = torch.cat([image for line in lines for image in line])
    return {"reconstructions": panel(cells, columns)}
