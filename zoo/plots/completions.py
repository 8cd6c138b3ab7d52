"""Completions of test images of which a part is hidden."""

from typing import Any

import torch
from torch import Tensor

from zoo.media.images import grid
from zoo.plots.grids import as_images, with_heads
from zoo.plots.held_out import held_out_inputs


def completions(model: Any, data: Any, rows: int = 6, count: int = 6) -> dict[str, Tensor]:
    """Draw test images, their visible upper halves, and completions by a model.

    Args:
        model: A model whose `sample` takes `image` and `mask`.
        data: The data module, or None.
        rows: Number of test images.
        count: Completions of each.

    Returns:
        {"completions": uint8 (3, H, W)}; {} without test images.
    """
    batch = held_out_inputs(model, data, rows)
    if batch is None:
        return {}
    mask = torch.zeros_like(batch["image"][:, :1])
    mask[:, :, mask.shape[2] // 2 :] = 1
    real = as_images(model, batch["image"])[:, None]
    columns = {"real": real, "visible": occluded(real, mask > 0)}
    return {"completions": beside_samples(model, batch | {"mask": mask}, columns, count)}


def occluded(images: Tensor, hidden: Tensor) -> Tensor:
    """Return uint8 images (N, 1, C, H, W), gray where `hidden`, (N or 1, 1, H, W) bool."""
    return torch.where(hidden.cpu()[:, None], 127, images).to(torch.uint8)


def beside_samples(
    model: Any, batch: dict[str, Tensor], columns: dict[str, Tensor], count: int
) -> Tensor:
    """Draw columns of images, and samples conditioned on each row beside them.

    Args:
        model: The model.
        batch: Conditions, one row each.
        columns: {head: uint8 images (rows, 1, C, H, W)}.
        count: Samples of each row.

    Returns:
        uint8 (3, H, W).
    """
    condition = {name: values.repeat_interleave(count, dim=0) for name, values in batch.items()}
    samples = as_images(model, model.sample(len(condition["image"]), condition))
    cells = torch.cat([*columns.values(), samples.unflatten(0, (-1, count))], dim=1)
    figure = grid(cells.flatten(0, 1), columns=cells.shape[1])
    return with_heads(figure, [*((head, 1) for head in columns), ("samples", count)])
