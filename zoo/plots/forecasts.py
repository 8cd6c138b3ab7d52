"""Forecast segmentations, with a legend of the classes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from zoo.media.segmentation import class_colors, colorize_classes
from zoo.media.text_images import LINE_HEIGHT, text_image, text_width
from zoo.media.video import split_frames
from zoo.metrics.segmentation_iou import IGNORED
from zoo.plots.held_out import held_out_batch
from zoo.plots.videos import video_figures


def forecast_figures(model: Any, data: Any, count: int = 6) -> dict[str, Tensor]:
    """Draw test clips, the segmentation of their future and the forecast one.

    Args:
        model: A segmentation_forecast model.
        data: The data module, or None.
        count: Number of clips.

    Returns:
        The figures of `video_figures`, with a legend of the classes; {} without test clips.
    """
    batch = held_out_batch(model, data, count)
    if batch is None:
        return {}
    hp = model.hparams
    past, _ = split_frames(batch["video"], hp.past)
    real = batch["segmentation"][:, hp.past :]  # (N, T, H, W)
    real = real.where(real != IGNORED, 0)  # black, like the background
    real = one_hot(real, hp.classes).movedim(-1, 2).to(past)  # (N, T, K, H, W)
    forecast = model.forecast(past, real.shape[1]).softmax(dim=2)
    images = [colorize_classes(shares, hp.image_channels) for shares in (real, forecast)]
    names = data.class_names or [f"class {number}" for number in range(hp.classes)]
    legend = class_legend(names, class_colors(hp.classes, hp.image_channels))
    return {
        name: with_legend(figure, legend) for name, figure in video_figures(past, *images).items()
    }


def class_legend(names: Sequence[str], colors: Tensor) -> Tensor:
    """Draw a line of colored squares with the names of the classes.

    Args:
        names: The classes' names.
        colors: (K, C) in [0, 1], C of 1 or 3.

    Returns:
        uint8 (3, H, W).
    """
    entries = []
    for name, color in zip(names, colors, strict=True):
        square = (color.expand(3) * 255).round().to(torch.uint8)[:, None, None]
        square = pad(square.expand(-1, LINE_HEIGHT - 2, LINE_HEIGHT - 2), (1, 1, 1, 1), value=127)
        text = text_image([name], text_width(name), LINE_HEIGHT)
        entries += [pad(square, (8, 4, 0, 0), value=255), text]
    return torch.cat(entries, dim=2)


def with_legend(figure: Tensor, legend: Tensor) -> Tensor:
    """Return a figure (..., 3, H, W) with a legend (3, h, w) below it, on white."""
    width = max(figure.shape[-1], legend.shape[-1])
    figure = pad(figure, (0, width - figure.shape[-1], 0, 0), value=255)
    legend = pad(legend, (0, width - legend.shape[-1], 6, 2), value=255)
    return torch.cat([figure, legend.expand(*figure.shape[:-2], *legend.shape[-2:])], dim=-2)
