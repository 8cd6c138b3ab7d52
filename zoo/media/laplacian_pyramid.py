"""Laplacian pyramids (Burt, Adelson 1983) as in Denton et al. 2015 (arXiv 1506.05751), section 2.2.

Images are downsampled by averaging 2x2 pixels and upsampled bilinearly. The paper blurs before it
subsamples.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate


def downsample(images: Tensor) -> Tensor:
    """Halve images (N, C, H, W) by averaging 2x2 pixels: d(I) in the paper."""
    return avg_pool2d(images, 2)  # (N, C, H/2, W/2)


def upsample(images: Tensor) -> Tensor:
    """Double images (N, C, H, W) by bilinear interpolation: u(I) in the paper."""
    return interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)


def decompose(images: Tensor, pyramid_levels: int) -> list[tuple[Tensor, Tensor]]:
    """Split images into residuals and the coarse images that they refine.

    Args:
        images: I_0, (N, C, H, W). H and W are divisible by 2^pyramid_levels.
        pyramid_levels: K, how often the images are halved.

    Returns:
        [(h_0, l_0), ..., (h_K, l_K)], from the finest level to the coarsest. The coarse image of a
        level k < K is l_k = u(I_k+1), and its residual h_k = I_k - l_k, both (N, C, H/2^k, W/2^k).
        The last level holds h_K = I_K and l_K = 0.
    """
    parts = []
    for _ in range(pyramid_levels):
        smaller = downsample(images)
        coarse = upsample(smaller)
        parts.append((images - coarse, coarse))
        images = smaller
    return [*parts, (images, torch.zeros_like(images))]


def reconstruct(residuals: Sequence[Tensor]) -> Tensor:
    """Return the images I_0 (N, C, H, W) of the residuals [h_0, ..., h_K]."""
    *details, image = residuals
    for residual in reversed(details):
        image = upsample(image) + residual
    return image
