"""Coverage of the modes of a mixture of Gaussians, as in the papers on mode collapse.

The conventions are those of Srivastava et al. 2017 (VEEGAN, arXiv 1705.07761) and Lin et al. 2018
(PacGAN, arXiv 1712.04086, whose code has `<` at 3 sigma); both papers measure 2,500 samples.
"""

import math

import torch
from torch import Tensor

REACH = 3  # standard deviations, which contain 98.9% of a two-dimensional Gaussian


def modes(points: Tensor, centers: Tensor, sigma: float) -> dict[str, float]:
    """Measure samples of a mixture of isotropic Gaussians.

    The mixture itself has high_quality 1 - exp(-4.5) = 0.989 in two dimensions, covers M modes and
    has a reverse KL of about 0.

    Args:
        points: Samples (N, D).
        centers: (M, D).
        sigma: Standard deviation of the Gaussians.

    Returns:
        high_quality_3sigma: share of points less than 3 sigma from the nearest center.
        modes_covered_3sigma: number of centers that are nearest to at least one of these points.
        reverse_kl_3sigma: KL(these points over the centers || uniform), in nats, of Metz et al.
        2016 (arXiv 1611.02163). It is at most ln M, which is also its value without such points.

    Raises:
        ValueError: There are no points, or they contain NaN.
    """
    if len(points) == 0:
        raise ValueError("modes need samples, got none")
    if points.isnan().any():
        raise ValueError("the samples contain NaN")
    # float64: cdist of many float32 points uses |x|² + |y|² - 2xy, which loses small distances.
    distances, nearest = torch.cdist(points.cpu().double(), centers.cpu().double()).min(dim=1)
    good = distances < REACH * sigma
    counts = nearest[good].bincount(minlength=len(centers))
    return {
        f"modes_covered_{REACH}sigma": int(counts.count_nonzero()),
        f"high_quality_{REACH}sigma": good.double().mean().item(),
        f"reverse_kl_{REACH}sigma": _kl_to_uniform(counts),
    }


def _kl_to_uniform(counts: Tensor) -> float:
    """Return KL(counts (M,) as shares || uniform) in nats: ln M minus the entropy."""
    shares = counts / counts.sum().clamp(min=1)
    return math.log(len(counts)) - torch.special.entr(shares.double()).sum().item()
