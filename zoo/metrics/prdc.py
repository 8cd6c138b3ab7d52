"""Precision, recall, density and coverage of samples, based on balls around features.

Improved precision and recall: Kynkäänniemi et al. 2019 (arXiv:1904.06991). Density and coverage:
Naeem et al. 2020 (arXiv:2002.09797).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo.metrics.frechet import check_widths
from zoo.metrics.pairwise import CHUNK, Points, comparable_distances, nearest_distances
from zoo.precision import exact_float32, without_autocast

Bar = Callable[..., Callable[[int], Any]]  # see zoo.runs.progress_bars


def no_bar(name: str, total: int, divided: bool = True) -> Callable[[int], None]:
    """Add no progress bar: return a function that does nothing."""
    return lambda count: None


class PRDC(NamedTuple):
    """The four numbers: density is at least 0, the others are in [0, 1]."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(
    real: Tensor,
    fake: Tensor,
    precision_k: int = 3,
    coverage_k: int = 5,
    block: int = 1024,
    bar: Bar = no_bar,
) -> PRDC:
    """Compute precision, recall, density and coverage of features.

    The radius of a sample's ball is the distance to its k-th nearest neighbor in the same set,
    without the sample. Precision is the share of generated samples inside a real ball, and recall
    the share of real samples inside a generated ball (distance <= radius, k = precision_k). Density
    is the mean number of real balls that contain a generated sample, divided by k. Coverage is the
    share of real balls that contain a generated sample (distance < radius, k = coverage_k).

    The results are those of float64 distances that are rounded to float32, so that equal distances
    are equal in all blocks. Distances below 3e-7 of the features' spread are 0. Only distances for
    which rounding matters are computed in float64 (zoo.metrics.pairwise). The device must support
    float64 (mps does not).

    Args:
        real: (N, F).
        fake: (M, F).
        precision_k: k of precision and recall.
        coverage_k: k of density and coverage.
        block: Rows and columns at once. Needs 16 bytes * block * (block + 2 F) of memory, and 200
            bytes per sample.
        bar: Adds a progress bar. See zoo.runs.progress_bars.

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
    advance = bar("prdc", _count_tiles(len(real), len(fake), block), divided=False)
    # Distances do not depend on the origin. The mean as the origin keeps the squares small.
    origin = real.mean(dim=0)  # (F,)
    reals, fakes = Points(real, origin), Points(fake, origin)
    with exact_float32(), without_autocast(real):
        real_radii = nearest_distances(reals, max(precision_k, coverage_k), block, advance)
        fake_radii = nearest_distances(fakes, precision_k, block, advance)
        radii = real_radii[:, precision_k - 1], real_radii[:, coverage_k - 1], fake_radii[:, -1]
        precise, recalled, inside, covered = _count(reals, fakes, *radii, block, advance)
    return PRDC(
        precision=precise / len(fake),
        recall=recalled / len(real),
        density=inside / (coverage_k * len(fake)),
        coverage=covered / len(real),
    )


def _count(
    reals: Points,
    fakes: Points,
    precision_radii: Tensor,
    coverage_radii: Tensor,
    fake_radii: Tensor,
    block: int,
    advance: Callable[[int], Any],
) -> tuple[int, int, int, int]:
    """Count the fakes in a real ball, the reals in a fake ball, and by coverage_radii two more.

    Those are the pairs of a real ball and a fake in it, and the real balls with a fake in them.
    """

    def radii(i: slice, j: slice) -> list[Tensor]:
        return [precision_radii[j], coverage_radii[j], fake_radii[i, None]]

    precise = torch.zeros(len(fakes), dtype=torch.bool, device=fake_radii.device)
    recalled = torch.zeros(len(reals), dtype=torch.bool, device=fake_radii.device)
    covered, inside = recalled.clone(), 0
    for i, j, distances in comparable_distances(fakes, reals, block, radii):
        precise[i] |= (distances <= precision_radii[j]).any(dim=1)
        recalled[j] |= (distances <= fake_radii[i, None]).any(dim=0)
        within = distances < coverage_radii[j]
        inside += int(within.count_nonzero())
        covered[j] |= within.any(dim=0)
        advance(1)
    return int(precise.sum()), int(recalled.sum()), inside, int(covered.sum())


def _check(name: str, features: Tensor, k: int) -> None:
    if k >= len(features):
        raise ValueError(
            f"the {k}-th nearest neighbor needs more than {k} {name} samples, got "
            f"{len(features)}: draw more samples or lower k"
        )
    if not all(chunk.isfinite().all() for chunk in features.split(CHUNK)):
        raise ValueError(f"the {name} features contain NaN or infinity")


def _count_tiles(reals: int, fakes: int, block: int) -> int:
    """Return the number of tiles of the distances within both sets, by symmetry, and between."""
    rows, columns = math.ceil(fakes / block), math.ceil(reals / block)
    return rows * (rows + 1) // 2 + columns * (columns + 1) // 2 + rows * columns
