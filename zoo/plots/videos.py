"""Films of what a model of videos predicts, and their frames side by side."""

import torch
from torch import Tensor

from zoo.media.images import to_uint8
from zoo.plots.grids import beside, panel

BAR = 6  # pixels, below what is predicted


def video_figures(past: Tensor, future: Tensor, predicted: Tensor) -> dict[str, Tensor]:
    """Videos (N, T, C, H, W) in [-1, 1], C of 1 or 3, as pictures.

    predictions: uint8 (3, H, W), each row a past, its real future and the predicted one. film:
    uint8 (T, 3, H, W), real videos above, and below them those whose future is predicted, with a
    red bar from there on.
    """
    parts = [to_uint8(part).cpu() for part in (past, future, predicted)]
    rows = [panel(part.flatten(0, 1), columns=part.shape[1]) for part in parts]
    past, future, predicted = parts
    real, shown = (torch.cat([past, part], dim=1) for part in (future, predicted))
    figures = []
    for t in range(real.shape[1]):
        upper, lower = (panel(videos[:, t], columns=len(videos)) for videos in (real, shown))
        bar = torch.full_like(upper[:, :BAR], 255)
        if t >= past.shape[1]:
            bar[1:] = 0
        figures.append(torch.cat([upper, lower, bar], dim=1))
    return {"predictions": beside(*rows), "video": torch.stack(figures)}
