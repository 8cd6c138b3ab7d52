"""Kernel Inception Distance (Bińkowski et al. 2018, arXiv:1801.01401)."""

from typing import NamedTuple

import torch
from torch import Tensor

from zoo.metrics.frechet import check_widths

# torchmetrics' KernelInceptionDistance is not used: it draws its subsets unseeded, differently on
# each rank, and works in float32.


class KID(NamedTuple):
    """Mean and population standard deviation (ddof 0) over the subsets, and their size.

    The mean is unbiased, so that of equal distributions may fall below zero.
    """

    mean: float
    std: float
    subset_size: int


def kid(
    real: Tensor, fake: Tensor, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> KID:
    """MMD² of features (N, F) and (M, F), over seeded subsets drawn without replacement.

    Where N or M is smaller, the subsets have that size: the result says which. With one side drawn
    whole, its choice adds nothing to the standard deviation. The subsets are the same on every
    device and rank; that device has float64 (mps has not). Raises ValueError for no subsets, fewer
    than 2 samples, features of two widths, or non-finite ones.
    """
    check_widths(real, fake)
    if subsets < 1:
        raise ValueError(f"subsets={subsets} must be at least 1: KID is a mean over them")
    size = min(subset_size, len(real), len(fake))
    if size < 2:
        raise ValueError(
            f"KID needs 2 samples a subset, got {len(real)} real and {len(fake)} generated ones "
            f"for subset_size={subset_size}: draw more samples"
        )
    if not (real.isfinite().all() and fake.isfinite().all()):
        raise ValueError("the features hold NaN or infinity")
    generator = torch.Generator().manual_seed(seed)
    values = [
        squared_mmd(_subset(real, size, generator), _subset(fake, size, generator))
        for _ in range(subsets)
    ]
    values = torch.stack(values)
    return KID(values.mean().item(), values.std(correction=0).item(), size)


def squared_mmd(real: Tensor, fake: Tensor) -> Tensor:
    """Unbiased MMD² of features (N, F) and (M, F), a float64 scalar; eq. 4 of the paper.

    The kernel is k(x, y) = (x·y / F + 1)³.
    """
    # float64, for MMD² is a small difference of means of cubes.
    real, fake = real.double(), fake.double()
    return _mean_of_pairs(real) + _mean_of_pairs(fake) - 2 * _kernel(real, fake).mean()


def _mean_of_pairs(features: Tensor) -> Tensor:
    """Mean of k(x, y) over the pairs of different samples."""
    count = len(features)
    kernel = _kernel(features, features)
    return (kernel.sum() - kernel.trace()) / (count * (count - 1))


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    return (first @ second.T / first.shape[1] + 1) ** 3


def _subset(features: Tensor, size: int, generator: torch.Generator) -> Tensor:
    chosen = torch.randperm(len(features), generator=generator)[:size]
    return features[chosen.to(features.device)]
