"""Dequantized pixels as logits, for densities on all real numbers (Dinh et al. 2017, section 4.1).

A gray level becomes u = (level + noise) / num_levels in [0, 1), and then
logit(alpha + (1 - 2 alpha) u).
"""

import math

from torch import Tensor
from torch.nn.functional import softplus

from zoo.media.images import from_levels, to_levels
from zoo.precision import uniforms


def to_logits(images: Tensor, num_levels: int, alpha: float) -> tuple[Tensor, Tensor]:
    """Dequantize images with uniform noise and return their logits.

    Args:
        images: (N, C, H, W) in [-1, 1].
        num_levels: Number of gray levels that they are quantized to.
        alpha: Distance of pixels from 0 and 1 before the logit.

    Returns:
        Logits y (N, C, H, W), at least float32, and log |det dy/du| (N,).
    """
    noise = uniforms(*images.shape, device=images.device)
    pixels = alpha + (1 - 2 * alpha) * (to_levels(images, num_levels) + noise) / num_levels
    logits = pixels.logit()
    # d logit(p) / dp = 1 / (p (1 - p)), and p = sigmoid(y)
    log_slopes = math.log(1 - 2 * alpha) + softplus(logits) + softplus(-logits)
    return logits, log_slopes.flatten(1).sum(dim=1)


def from_logits(logits: Tensor, num_levels: int, alpha: float) -> Tensor:
    """Invert `to_logits`: round logits (N, C, H, W) down to gray levels, in [-1, 1].

    The gradient is that of the values before rounding.
    """
    pixels = (logits.sigmoid() - alpha) / (1 - 2 * alpha) * num_levels
    levels = pixels.floor().clamp(0, num_levels - 1)
    values = (pixels - 0.5).clamp(0, num_levels - 1)  # those of the middles of the bins
    return from_levels(values + (levels - values).detach(), num_levels)
