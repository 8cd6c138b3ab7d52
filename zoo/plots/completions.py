"""Test images of which a part is hidden, and how a model completes them."""

import torch

from zoo.plots.grids import as_images, panel
from zoo.plots.held_out import held_out_inputs


def completions(model, data, rows=6, count=6):
    """{"completions": each row a test image, what is left of it when its lower half is hidden, and
    `count` wholes that the model draws}; {} without test images."""
    batch = held_out_inputs(model, data, rows)
    if batch is None:
        return {}
    mask = torch.zeros_like(batch["image"][:, :1])
    mask[:, :, mask.shape[2] // 2 :] = 1
    real = as_images(model, batch["image"])[:, None]
    shown = [real, occluded(real, mask > 0)]
    return {"completions": beside_samples(model, batch | {"mask": mask}, shown, count)}


def occluded(images, hidden):
    """uint8 images (N, 1, C, H, W), grey where `hidden`, (N or 1, 1, H, W) bool."""
    return torch.where(hidden.cpu()[:, None], 127, images).to(torch.uint8)


def beside_samples(model, batch, columns, count):
    """Columns of uint8 images (rows, 1, C, H, W), and beside them `count` samples of each row."""
    condition = {name: values.repeat_interleave(count, dim=0) for name, values in batch.items()}
    drawn = as_images(model, model.sample(len(condition["image"]), condition))
    cells = torch.cat([*columns, drawn.unflatten(0, (-1, count))], dim=1)
    return panel(cells.flatten(0, 1), columns=cells.shape[1])
