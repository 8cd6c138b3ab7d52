"""Precision, recall, density and coverage of samples, from balls around features.

Improved precision and recall: Kynkäänniemi et al. 2019 (arXiv:1904.06991). Density and coverage:
Naeem et al. 2020 (arXiv:2002.09797).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from zoo.metrics.frechet import check_widths

CHUNK = 1024  # columns that are float64 at a time: 16 MiB of 2048 features


class PRDC(NamedTuple):
    """The four numbers: density is 0 or above, the others are in [0, 1]."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(
    real: Tensor, fake: Tensor, precision_k: int = 3, coverage_k: int = 5, block: int = 1024
) -> PRDC:
    """Precision, recall, density and coverage of features (N, F) and (M, F).

    A sample's ball reaches to its k-th nearest neighbour in its own set, itself not counted.

    precision: share of the fakes in a real ball (distance <= radius, k = precision_k)
    recall: share of the reals in a fake ball (the same)
    density: mean number of real balls that a fake is in, over k (distance < radius, k = coverage_k)
    coverage: share of the real balls with a fake in them (the same)

    Distances are float64, rounded to float32: equal ones are equal in every block. One below 3e-7
    of the features' spread is 0; the device needs float64 (mps has none). Memory beyond the
    features: 16 bytes * block * max(N, M). Raises ValueError for k below 1, sets of k samples or
    fewer, features of two widths, and non-finite ones.
    """
    check_widths(real, fake)
    for name, k in (("precision_k", precision_k), ("coverage_k", coverage_k)):
        if k < 1:
            raise ValueError(f"{name}={k} must be at least 1: the first neighbour is the nearest")
    _check("real", real, max(precision_k, coverage_k))
    _check("generated", fake, precision_k)
    # Any origin leaves distances as they are; one among the features keeps their squares small.
    origin = real.mean(dim=0)  # (F,)
    real_radii = _radii(real, max(precision_k, coverage_k), origin, block)  # (N, k)
    fake_radii = _radii(fake, precision_k, origin, block)[:, -1]  # (M,)
    precision_radii, coverage_radii = real_radii[:, precision_k - 1], real_radii[:, coverage_k - 1]
    precise, inside = 0, 0
    recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    covered = recalled.clone()
    for fakes, radii in zip(fake.split(block), fake_radii.split(block), strict=True):
        distances = _squared_distances(fakes, real, origin)  # (B, N)
        precise += (distances <= precision_radii).any(dim=1).sum()
        recalled |= (distances <= radii[:, None]).any(dim=0)
        within = distances < coverage_radii
        inside += within.sum()
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
            f"the {k}-th nearest neighbour needs more than {k} {name} samples, got "
            f"{len(features)}: draw more samples or lower k"
        )
    if not all(chunk.isfinite().all() for chunk in features.split(CHUNK)):
        raise ValueError(f"the {name} features hold NaN or infinity")


def _radii(features: Tensor, k: int, origin: Tensor, block: int) -> Tensor:
    """Squared distances (N, k) to the k nearest neighbours, sorted."""
    radii = []
    for start in range(0, len(features), block):
        distances = _squared_distances(features[start : start + block], features, origin)
        distances.diagonal(start).fill_(torch.inf)  # nobody is their own neighbour
        radii.append(distances.topk(k, largest=False).values)
    return torch.cat(radii)


def _squared_distances(rows: Tensor, columns: Tensor, origin: Tensor) -> Tensor:
    """Squared distances (B, N) float32 of features (B, F) and (N, F), 0 for duplicates."""
    # By matrix products in float32, torch.cdist puts duplicates 0.02 apart where neighbours are 37
    # apart; without products it is 16 times slower. float64 loses 1e-15 of the squared norms.
    rows = rows.double() - origin
    norms = rows.square().sum(dim=1, keepdim=True)  # (B, 1)
    distances = torch.empty(len(rows), len(columns), device=rows.device)
    for chunk, out in zip(columns.split(CHUNK), distances.split(CHUNK, dim=1), strict=True):
        chunk = chunk.double() - origin
        sums = norms + chunk.square().sum(dim=1)
        squared = sums.addmm(rows, chunk.T, alpha=-2)
        out.copy_(squared.where(squared > 1e-13 * sums, 0))
    return distances
