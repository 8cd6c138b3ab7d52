"""Samples of each class, a column a class."""

import torch

from zoo.plots.grids import as_images, panel


def class_figures(model):
    """{"classes": class_grid(model)}; {} for a model of points, not images."""
    return {"classes": class_grid(model)} if model.hparams.image_channels in (1, 3) else {}


def class_grid(model, rows=8, most=20):
    """A column for each class, up to `most`, and a row for each latent, where there are latents."""
    classes = min(model.hparams.classes, most)
    condition = {"label": torch.arange(classes, device=model.device).repeat(rows)}
    if hasattr(model, "prior"):
        condition["latent"] = model.prior(rows).repeat_interleave(classes, dim=0)
    images = model.sample(rows * classes, condition)
    return panel(as_images(model, images), columns=classes)
