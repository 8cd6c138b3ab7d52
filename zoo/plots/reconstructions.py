"""Test images and their reconstructions."""

from typing import Any

import torch
from torch import Tensor

from zoo.plots.captions import with_captions
from zoo.plots.completions import beside_samples
from zoo.plots.grids import as_images
from zoo.plots.held_out import held_out_inputs


def sampled_reconstructions(
    model: Any, data: Any, rows: int = 6, count: int = 6
) -> dict[str, Tensor]:
    """Draw test images, and samples conditioned on the code of each beside it.

    Args:
        model: A model whose `sample` takes `image`.
        data: The data module, or None.
        rows: Number of test images.
        count: Samples of each.

    Returns:
        {"reconstructions": uint8 (3, H, W)}; {} without test images.
    """
    batch = held_out_inputs(model, data, rows)
    if batch is None:
        return {}
    real = as_images(model, batch["image"])[:, None]
    return {"reconstructions": beside_samples(model, batch, {"real": real}, count)}


def reconstructions(model: Any, data: Any, columns: int = 8, rows: int = 3) -> dict[str, Tensor]:
    """Draw rows of test images, and below each row their reconstructions.

    Args:
        model: A model with `reconstruct(batch)`.
        data: The data module, or None.
        columns: Images in a row.
        rows: Rows of test images.

    Returns:
        {"reconstructions": uint8 (3, H, W)}; {} without test images.
    """
    batch = held_out_inputs(model, data, columns * rows)
    if batch is None:
        return {}
    columns = min(columns, len(batch["image"]))
    whole = len(batch["image"]) // columns * columns
    batch = {name: values[:whole] for name, values in batch.items()}
    real, model_images = (
        as_images(model, images).unflatten(0, (-1, columns))  # (rows, columns, C, H, W)
        for images in (batch["image"], model.reconstruct(batch))
    )
    pairs = torch.stack([real, model_images], dim=1).flatten(0, 1)
    return {"reconstructions": with_captions(["real", "model"] * len(real), pairs)}
