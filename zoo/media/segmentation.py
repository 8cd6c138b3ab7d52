"""Maps of classes as images."""

from colorsys import hsv_to_rgb

import torch
from torch import Tensor

GOLDEN = 0.618034  # of the circle of hues between a class and the next: all are apart


def colorize_classes(shares: Tensor, channels: int) -> Tensor:
    """Images (..., C, H, W) in [-1, 1] of the classes' shares (..., K, H, W) of each pixel.

    A pixel has the mean of the classes' colours. The first one's is black; with 3 channels the
    others have hues, else they are shades of grey up to white.
    """
    classes = shares.shape[-3]
    if channels == 3:
        hues = [hsv_to_rgb(GOLDEN * k % 1, 0.75, 1) for k in range(classes - 1)]
        colours = torch.tensor([(0.0, 0.0, 0.0), *hues])
    else:
        colours = torch.linspace(0, 1, classes)[:, None].expand(-1, channels)
    colours = 2 * colours.to(shares) - 1  # (K, C)
    return torch.einsum("...khw,kc->...chw", shares, colours)
