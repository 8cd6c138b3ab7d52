"""Predicted videos, as animations and frame by frame."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo.media.images import grid, to_uint8
from zoo.media.text_images import text_image
from zoo.plots.grids import beside, with_heads

BAR = 6  # height in pixels of the bar below predicted frames
LABEL_WIDTH = 58  # pixels


def video_figures(past: Tensor, future: Tensor, predicted: Tensor) -> dict[str, Tensor]:
    """Draw videos and their predicted futures.

    Args:
        past: Frames (N, T, C, H, W) in [-1, 1], C of 1 or 3.
        future: The frames (N, T', C, H, W) that follow.
        predicted: The model's prediction of these, (N, T', C, H, W).

    Returns:
        "predictions": uint8 (3, H, W), for each row the past, its real future and the predicted
        one. "video": uint8 (T + T', 3, H, W), real videos above and predicted ones below, with a
        red bar under predicted frames.
    """
    parts = [to_uint8(part).cpu() for part in (past, future, predicted)]
    heads = ("past", "real future", "predicted future")
    frames = [
        with_heads(grid(part.flatten(0, 1), columns=part.shape[1]), [(head, part.shape[1])])
        for head, part in zip(heads, parts, strict=True)
    ]
    past, future, predicted = parts
    videos = [torch.cat([past, part], dim=1) for part in (future, predicted)]
    figures = []
    for t in range(past.shape[1] + future.shape[1]):
        rows = [
            _labeled(label, grid(video[:, t], columns=len(video)))
            for label, video in zip(("real", "predicted"), videos, strict=True)
        ]
        bar = torch.full_like(rows[0][:, :BAR], 255)
        if t >= past.shape[1]:
            bar[1:, :, LABEL_WIDTH:] = 0
        figures.append(torch.cat([*rows, bar], dim=1))
    return {"predictions": beside(*frames), "video": torch.stack(figures)}


def _labeled(label: str, row: Tensor) -> Tensor:
    """Return a row of images with its label on the left."""
    text = text_image([label], LABEL_WIDTH - 4, row.shape[1])
    return torch.cat([pad(text, (4, 0, 0, 0), value=255), row], dim=2)
