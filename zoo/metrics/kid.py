"""Kernel Inception Distance (Bińkowski et al. 2018, arXiv:1801.01401)."""

from typing import NamedTuple

import torch
from torch import Tensor

from zoo.metrics.frechet import check_widths

# torchmetrics' KernelInceptionDistance is not used: its subsets have no seed and differ between
# ranks, and it computes in float32.


class KID(NamedTuple):
    """Mean and population standard deviation (ddof 0) over subsets, and the subsets' size.

    The mean is unbiased, so it can be negative for equal distributions.
    """

    mean: float
    std: float
    subset_size: int


def kid(
    real: Tensor, fake: Tensor, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> KID:
    """Compute MMD² of features over random subsets, drawn without replacement.

    The subsets are the same on every device and rank. The device must have float64 (mps does not).

    Args:
        real: (N, F).
        fake: (M, F).
        subsets: Number of subsets.
        subset_size: Size of the subsets. It is reduced to N or M if one is smaller, and the result
            contains it. A side that is always used as a whole does not add to the standard
            deviation.
        seed: Seed of the subsets.

    Raises:
        ValueError: There are no subsets, fewer than 2 samples, different numbers of features, or
            features that are not finite.
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
        raise ValueError("the features contain NaN or infinity")
    generator = torch.Generator().manual_seed(seed)
    values = torch.stack(
        [
            squared_mmd(_subset(real, size, generator), _subset(fake, size, generator))
            for _ in range(subsets)
        ]
    )
    return KID(values.mean().item(), values.std(correction=0).item(), size)


def squared_mmd(real: Tensor, fake: Tensor) -> Tensor:
    """Compute unbiased MMD² of features (N, F) and (M, F), a float64 scalar; eq. 4 of the paper.

    The kernel is k(x, y) = (x·y / F + 1)³.
    """
    # In float64, because MMD² is a small difference of means of cubes.
    real, fake = real.double(), fake.double()
    return _mean_of_pairs(real) + _mean_of_pairs(fake) - 2 * _kernel(real, fake).mean()


def _mean_of_pairs(features: Tensor) -> Tensor:
    """Return the mean of k(x, y) over pairs of different samples."""
    count = len(features)
    kernel = _kernel(features, features)
    return (kernel.sum() - kernel.trace()) / (count * (count - 1))


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    return (first @ second.T / first.shape[1] + 1) ** 3


def _subset(features: Tensor, size: int, generator: torch.Generator) -> Tensor:
    chosen = torch.randperm(len(features), generator=generator)[:size]
    return features[chosen.to(features.device)]
