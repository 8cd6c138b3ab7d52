"""Comparisons of squared distances: in float32, and in float64 where rounding matters.

A float32 matrix product takes half the time of a float64 product on a CPU. Its rounding error has a
bound. If a distance differs from what it is compared with by more than the bound, the comparison is
right. The others, a few for each sample, are computed in float64.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from zoo.metrics.frechet import CHUNK
from zoo.precision import at_least_float32

SPARE = 8  # candidates for the k nearest besides k: near ties within the rounding error
MAX_SHARE = 1 / 64  # of the distances of a tile: if more are in doubt, a float64 product is faster
UNIT = 2.0**-24  # largest relative error of one rounding to float32
LARGE = 1e37  # squared norms whose products could overflow float32


class Points:
    """Features whose distances are compared.

    Args:
        values: (N, F).
        origin: (F,). Distances do not depend on it. The mean keeps the squares small.
    """

    def __init__(self, values: Tensor, origin: Tensor):
        self.values, self.origin = at_least_float32(values), at_least_float32(origin)
        self.norms = torch.cat([(v.double() - origin).square().sum(1) for v in values.split(CHUNK)])
        width = values.shape[1]
        # Bounds |float32 distance - distance| / (sum of both squared norms). A float32 product of F
        # terms in any order has an error of F UNIT / (1 - F UNIT) (Higham 2002, section 3.1); 24
        # is for the roundings of features, norms, their sum and what is compared with it.
        self.error = width * UNIT / max(1 - width * UNIT, UNIT) + 24 * UNIT
        self.underflow = width * 2.0**-125  # absolute error of products below the smallest normal

    def __len__(self) -> int:
        return len(self.values)

    def float32(self, place: slice) -> Tensor:
        """Return some features relative to the origin (B, F)."""
        return (self.values[place] - self.origin).float()


def blocks(count: int, size: int, start: int = 0) -> list[slice]:
    """Return slices of `size` from `start` to `count`; the last may be shorter."""
    return [slice(at, min(at + size, count)) for at in range(start, count, size)]


def squared_distances(rows: Tensor, columns: Tensor, origin: Tensor) -> Tensor:
    """Return squared distances (B, N) float32 of features (B, F) and (N, F), 0 for duplicates.

    They are float64, rounded to float32, so that equal ones are equal in every block. Those below
    3e-7 of the features' spread are 0.
    """
    # With float32 matrix products, torch.cdist returns 0.02 for duplicates where neighbors are 37
    # apart. Without them it takes 16 times as long. float64 loses 1e-15 of the squared norms.
    rows = rows.double() - origin
    norms = rows.square().sum(dim=1, keepdim=True)  # (B, 1)
    distances = torch.empty(len(rows), len(columns), device=rows.device)
    for chunk, out in zip(columns.split(CHUNK), distances.split(CHUNK, dim=1), strict=True):
        chunk = chunk.double() - origin
        sums = norms + chunk.square().sum(dim=1)
        squared = sums.addmm(rows, chunk.T, alpha=-2)
        out.copy_(_without_rounding_errors(squared, sums))
    return distances


def _without_rounding_errors(squared: Tensor, sums: Tensor) -> Tensor:
    """Return squared distances with 0 for what may be a rounding error; `sums` of squared norms."""
    return squared.where(squared > 1e-13 * sums, 0)


def distances_of_pairs(rows: Points, columns: Points, i: Tensor, j: Tensor) -> Tensor:
    """Return `squared_distances` (P,) of the pairs i[p], j[p]."""
    found = torch.empty(len(i), device=i.device)
    for a, b, out in zip(i.split(CHUNK), j.split(CHUNK), found.split(CHUNK), strict=True):
        squared = (rows.values[a].double() - columns.values[b]).square_().sum(dim=1)
        out.copy_(_without_rounding_errors(squared, rows.norms[a] + columns.norms[b]))
    return found


def comparable_distances(
    rows: Points, columns: Points, block: int, bounds: Callable[[slice, slice], list[Tensor]]
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Compute squared distances that compare with bounds as `squared_distances` do.

    Args:
        rows: M points.
        columns: N points, with the same origin.
        block: Rows and columns at once.
        bounds: Returns what the distances of some rows and columns are compared with, each
            broadcastable to (B, C).

    Yields:
        Rows, columns and distances (B, C) float32 of a tile.
    """
    for i in blocks(len(rows), block):
        left = rows.float32(i)  # (B, F)
        for j in blocks(len(columns), block):
            norms = rows.norms[i].max() + columns.norms[j]  # (C,)
            error = (rows.error * norms + rows.underflow).float()
            tile = _product(left, columns.float32(j), rows.norms[i], columns.norms[j])
            doubtful = torch.zeros_like(tile, dtype=torch.bool)
            for bound in bounds(i, j):
                doubtful |= (tile >= bound - error) & (tile <= bound + error)
            count = int(doubtful.count_nonzero())
            if count > MAX_SHARE * tile.numel() or not norms.max() < LARGE:
                tile = squared_distances(rows.values[i], columns.values[j], rows.origin)
            elif count:
                a, b = doubtful.nonzero(as_tuple=True)
                tile[a, b] = distances_of_pairs(rows, columns, a + i.start, b + j.start)
            yield i, j, tile


def _product(left: Tensor, right: Tensor, left_norms: Tensor, right_norms: Tensor) -> Tensor:
    """Return squared norms (B,) + (C,) - 2 * products of (B, F) and (C, F), float32 (B, C)."""
    sums = left_norms.float()[:, None] + right_norms.float()
    return sums.addmm(left, right.T, alpha=-2)


def nearest_distances(
    points: Points, k: int, block: int, advance: Callable[[int], Any] = lambda count: None
) -> Tensor:
    """Return squared distances (N, k) to the k nearest others, those of `squared_distances`.

    Args:
        points: N > k points.
        k: Number of neighbors.
        block: Rows and columns at once.
        advance: Called with the number of tiles after each.
    """
    keep = min(k + SPARE, len(points) - 1)
    lower, nearest = _candidates(points, keep, block, advance)
    distances = _nearest_of(points, lower, nearest, k)
    # A sample that is no candidate is no nearer than the last candidate's lower bound.
    in_doubt = ((distances[:, -1] > lower[:, -1]) | (points.norms > LARGE)).nonzero().flatten()
    for rows in in_doubt.split(block) if len(in_doubt) else ():
        every = squared_distances(points.values[rows], points.values, points.origin)
        every.scatter_(1, rows[:, None], torch.inf)  # a sample is not its own neighbor
        distances[rows] = every.topk(k, largest=False).values
    return distances


def _candidates(
    points: Points, keep: int, block: int, advance: Callable[[int], Any]
) -> tuple[Tensor, Tensor]:
    """Return the lowest lower bounds (N, keep) of distances to others, ascending, and of whom."""
    lower = torch.full((len(points), keep), torch.inf, device=points.values.device)
    nearest = torch.zeros_like(lower, dtype=torch.int64)
    norms = (1 - points.error) * points.norms - points.underflow / 2
    for i in blocks(len(points), block):
        left = points.float32(i)
        for j in blocks(len(points), block, i.start):  # the others by symmetry
            tile = _product(left, points.float32(j), norms[i], norms[j])
            if i == j:
                tile.fill_diagonal_(torch.inf)  # a sample is not its own neighbor
            else:
                _merge(lower[j], nearest[j], tile.T, i.start)
            _merge(lower[i], nearest[i], tile, j.start)
            advance(1)
    return lower, nearest


def _merge(lower: Tensor, nearest: Tensor, tile: Tensor, start: int) -> None:
    """Merge bounds (B, C) of samples from `start` into the lowest (B, keep) so far, in place."""
    rows = (tile < lower[:, -1:]).any(dim=1).nonzero().flatten()
    keep = lower.shape[1]
    values, places = tile[rows].topk(min(keep, tile.shape[1]), largest=False)
    values = torch.cat([lower[rows], values], dim=1)
    places = torch.cat([nearest[rows], places + start], dim=1)
    lower[rows], order = values.topk(keep, largest=False)
    nearest[rows] = places.gather(1, order)


def _nearest_of(points: Points, lower: Tensor, nearest: Tensor, k: int) -> Tensor:
    """Return the k lowest squared distances (N, k), ascending, to candidates (N, keep)."""
    sums = points.norms[:, None] + points.norms[nearest]
    upper = lower + 2 * (points.error * sums + points.underflow)
    possible = lower <= upper.topk(k, largest=False).values[:, -1:]
    i, j = possible.nonzero(as_tuple=True)
    distances = torch.full_like(lower, torch.inf)
    distances[i, j] = distances_of_pairs(points, points, i, nearest[i, j])
    return distances.topk(k, largest=False).values
