"""Samples of each class, one column per class."""

from typing import Any

import torch
from torch import Tensor

from zoo.media.images import grid
from zoo.plots.grids import as_images, with_heads


def class_figures(model: Any) -> dict[str, Tensor]:
    """Return {"classes": class_grid(model)}; {} for a model of points instead of images."""
    return {"classes": class_grid(model)} if model.hparams.image_channels in (1, 3) else {}


def class_grid(model: Any, rows: int = 8, most: int = 20) -> Tensor:
    """Draw samples of each class, under the class's number.

    Args:
        model: A conditional model. A row has one latent, where there are latents.
        rows: Samples of each class.
        most: Largest number of classes.

    Returns:
        uint8 (3, H, W).
    """
    classes = min(model.hparams.classes, most)
    condition = {"label": torch.arange(classes, device=model.device).repeat(rows)}
    if hasattr(model, "prior"):
        condition["latent"] = model.prior(rows).repeat_interleave(classes, dim=0)
    images = model.sample(rows * classes, condition)
    figure = grid(as_images(model, images), columns=classes)
    return with_heads(figure, [(str(number), 1) for number in range(classes)])
