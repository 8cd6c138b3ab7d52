"""Draw segmentation maps as images."""

from colorsys import hsv_to_rgb

import torch
from torch import Tensor

GOLDEN = 0.618034  # step between the hues of classes (golden ratio), which keeps all apart


def class_colors(classes: int, channels: int) -> Tensor:
    """Return the color of each class, (K, C) in [0, 1].

    Args:
        classes: Number K of classes. The first one is black.
        channels: With 3, the other classes have different hues, else they are shades of gray up to
            white.
    """
    if channels == 3:
        hues = [hsv_to_rgb(GOLDEN * k % 1, 0.75, 1) for k in range(classes - 1)]
        return torch.tensor([(0.0, 0.0, 0.0), *hues])
    return torch.linspace(0, 1, classes)[:, None].expand(-1, channels)


def colorize_classes(shares: Tensor, channels: int) -> Tensor:
    """Draw maps of class probabilities; a pixel has the mean of the classes' colors.

    Args:
        shares: (..., K, H, W), the probability of each class.
        channels: Channels C of the images.

    Returns:
        (..., C, H, W) in [-1, 1].
    """
    colors = 2 * class_colors(shares.shape[-3], channels).to(shares) - 1  # (K, C)
    return torch.einsum("...khw,kc->...chw", shares, colors)
