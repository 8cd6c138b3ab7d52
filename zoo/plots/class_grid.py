"""Samples of each class, one column per class."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.media.images import grid
from zoo.plots.grids import as_images, with_heads


def class_figures(model: Any, data: Any) -> dict[str, Tensor]:
    """Return {"classes": class_grid}; {} for a model of points instead of images.

    Args:
        model: See `class_grid`.
        data: The data module, whose class names are the heads of the columns, or None.
    """
    if model.hparams.image_channels not in (1, 3):
        return {}
    return {"classes": class_grid(model, names=getattr(data, "class_names", ()))}


def class_grid(model: Any, rows: int = 8, most: int = 20, names: Sequence[str] = ()) -> Tensor:
    """Draw samples of each class, under the name or number of the class.

    Args:
        model: A conditional model. A row has one latent, where there are latents.
        rows: Samples of each class.
        most: Largest number of classes.
        names: Names of the classes in the order of their labels; empty for their numbers.

    Returns:
        uint8 (3, H, W).
    """
    classes = min(model.hparams.classes, most)
    condition = {"label": torch.arange(classes, device=model.device).repeat(rows)}
    if hasattr(model, "prior"):
        condition["latent"] = model.prior(rows).repeat_interleave(classes, dim=0)
    images = model.sample(rows * classes, condition)
    figure = grid(as_images(model, images), columns=classes)
    has_names = len(names) == model.hparams.classes  # else the data have other classes
    heads = names[:classes] if has_names else map(str, range(classes))
    return with_heads(figure, [(name, 1) for name in heads])
