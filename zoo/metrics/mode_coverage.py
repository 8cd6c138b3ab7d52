"""Which modes of a mixture of Gaussians samples reach: the numbers of the papers on mode collapse.

The conventions are those of Srivastava et al. 2017 (VEEGAN, arXiv 1705.07761) and Lin et al. 2018
(PacGAN, arXiv 1712.04086, whose code has `<` at 3 sigma); both papers measure 2,500 samples.
"""

import math

import torch
from torch import Tensor

REACH = 3  # standard deviations: within them, 98.9% of a Gaussian in two dimensions


def modes(points: Tensor, centres: Tensor, sigma: float) -> dict[str, float]:
    """{name: number} for points (N, D), of a mixture of isotropic Gaussians at centres (M, D).

    high_quality_3sigma: share of the points less than 3 sigma from the nearest centre
    modes_covered_3sigma: number of centres that are the nearest to one of these points, or more
    reverse_kl_3sigma: KL(these points over the centres || uniform), in nats, of Metz et al. 2016
        (arXiv 1611.02163); ln M at worst, which it is, too, where there are no such points

    The mixture itself has 1 - exp(-4.5) = 0.989, M and about 0 in two dimensions. Raises
    ValueError for no points, or points that hold NaN.
    """
    if len(points) == 0:
        raise ValueError("modes need samples, got none")
    if points.isnan().any():
        raise ValueError("the samples hold NaN")
    # float64: cdist of many float32 points goes by |x|² + |y|² - 2xy, which loses small distances.
    distances, nearest = torch.cdist(points.cpu().double(), centres.cpu().double()).min(dim=1)
    good = distances < REACH * sigma
    counts = nearest[good].bincount(minlength=len(centres))
    return {
        f"modes_covered_{REACH}sigma": int(counts.count_nonzero()),
        f"high_quality_{REACH}sigma": good.double().mean().item(),
        f"reverse_kl_{REACH}sigma": _kl_to_uniform(counts),
    }


def _kl_to_uniform(counts: Tensor) -> float:
    """KL(counts (M,) as shares || uniform) in nats, which is ln M less the entropy."""
    shares = counts / counts.sum().clamp(min=1)
    return math.log(len(counts)) - torch.special.entr(shares.double()).sum().item()
