"""Precision, recall, density and coverage of samples, based on balls around features.

Improved precision and recall: Kynkäänniemi et al. 2019 (arXiv:1904.06991). Density and coverage:
Naeem et al. 2020 (arXiv:2002.09797).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from zoo.metrics.frechet import check_widths

CHUNK = 1024  # columns that are float64 at a time: 16 MiB for 2048 features


class PRDC(NamedTuple):
    """The four numbers: density is at least 0, the others are in [0, 1]."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(
    real: Tensor, fake: Tensor, precision_k: int = 3, coverage_k: int = 5, block: int = 1024
) -> PRDC:
    """Compute precision, recall, density and coverage of features.

    The radius of a sample's ball is the distance to its k-th nearest neighbor in the same set,
    without the sample. Precision is the share of generated samples inside a real ball, and recall
    the share of real samples inside a generated ball (distance <= radius, k = precision_k). Density
    is the mean number of real balls that contain a generated sample, divided by k. Coverage is the
    share of real balls that contain a generated sample (distance < radius, k = coverage_k).

    Distances are computed in float64 and rounded to float32, so that equal distances are equal in
    all blocks. Distances below 3e-7 of the features' spread are 0. The device must support float64
    (mps does not).

    Args:
        real: (N, F).
        fake: (M, F).
        precision_k: k of precision and recall.
        coverage_k: k of density and coverage.
        block: Rows at once. Needs 16 bytes * block * max(N, M) of memory.

    Raises:
        ValueError: A k is below 1, a set has k samples or fewer, the numbers of features differ, or
            features are not finite.
    """
    check_widths(real, fake)
    for name, k in (("precision_k", precision_k), ("coverage_k", coverage_k)):
        if k < 1:
            raise ValueError(f"{name}={k} must be at least 1: the first neighbor is the nearest")
    _check("real", real, max(precision_k, coverage_k))
    _check("generated", fake, precision_k)
    # Distances do not depend on the origin. The mean as the origin keeps the squares small.
    origin = real.mean(dim=0)  # (F,)
    real_radii = _radii(real, max(precision_k, coverage_k), origin, block)  # (N, k)
    fake_radii = _radii(fake, precision_k, origin, block)[:, -1]  # (M,)
    precision_radii, coverage_radii = real_radii[:, precision_k - 1], real_radii[:, coverage_k - 1]
    precise = inside = torch.zeros((), dtype=torch.int64, device=real.device)
    recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    covered = recalled.clone()
    for fakes, radii in zip(fake.split(block), fake_radii.split(block), strict=True):
        distances = _squared_distances(fakes, real, origin)  # (B, N)
        precise = precise + (distances <= precision_radii).any(dim=1).sum()
        recalled |= (distances <= radii[:, None]).any(dim=0)
        within = distances < coverage_radii
        inside = inside + within.sum()
        covered |= within.any(dim=0)
    return PRDC(
        precision=precise.item() / len(fake),
        recall=recalled.sum().item() / len(real),
        density=inside.item() / (coverage_k * len(fake)),
        coverage=covered.sum().item() / len(real),
    )


def _check(name: str, features: Tensor, k: int) -> None:
    if k >= len(features):
        raise ValueError(
            f"the {k}-th nearest neighbor needs more than {k} {name} samples, got "
            f"{len(features)}: draw more samples or lower k"
        )
    if not all(chunk.isfinite().all() for chunk in features.split(CHUNK)):
        raise ValueError(f"the {name} features contain NaN or infinity")


def _radii(features: Tensor, k: int, origin: Tensor, block: int) -> Tensor:
    """Return squared distances (N, k) to the k nearest neighbors, ascending."""
    radii = []
    for start in range(0, len(features), block):
        distances = _squared_distances(features[start : start + block], features, origin)
        distances.diagonal(start).fill_(torch.inf)  # a sample is not its own neighbor
        radii.append(distances.topk(k, largest=False).values)
    return torch.cat(radii)


def _squared_distances(rows: Tensor, columns: Tensor, origin: Tensor) -> Tensor:
    """Return squared distances (B, N) float32 of features (B, F) and (N, F), 0 for duplicates."""
    # With float32 matrix products, torch.cdist returns 0.02 for duplicates where neighbors are 37
    # apart. Without them it takes 16 times as long. float64 loses 1e-15 of the squared norms.
    rows = rows.double() - origin
    norms = rows.square().sum(dim=1, keepdim=True)  # (B, 1)
    distances = torch.empty(len(rows), len(columns), device=rows.device)
    for chunk, out in zip(columns.split(CHUNK), distances.split(CHUNK, dim=1), strict=True):
        chunk = chunk.double() - origin
        sums = norms + chunk.square().sum(dim=1)
        squared = sums.addmm(rows, chunk.T, alpha=-2)
        out.copy_(squared.where(squared > 1e-13 * sums, 0))
    return distances
