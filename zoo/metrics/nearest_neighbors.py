"""Nearest neighbors of images, and whether samples copy their training images."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo.engine.seeds import keyed_permutation
from zoo.media.images import check_same_shape

MAX_HELD_OUT = 1000  # images with which samples are compared


class Copying(NamedTuple):
    """The three-sample test of data-copying (Meehan, Chaudhuri, Dasgupta 2020, arXiv 2004.05675).

    Attributes:
        share: Share of all pairs of a sample and a held-out image in which the sample is closer to
            its nearest training image. Ties count half. 0.5 for a perfect model, 1 for copies.
        z: The paper's Z_U of all samples, in standard deviations. Negative if samples are too close
            to training images.
    """

    share: float
    z: float


def neighbors(
    queries: Tensor, references: Tensor | Iterable[Tensor], k: int = 1
) -> tuple[Tensor, Tensor]:
    """Find the nearest references by Euclidean distance.

    Distances of uint8 images are exact, up to the square root. For floats, distances below 1e-7 of
    the norms are rounding errors.

    Args:
        queries: (M, ...).
        references: (N, ...), or batches of them, one of which is in memory at a time.
        k: Number of neighbors.

    Returns:
        Distances (M, k), float64 ascending, and indices (M, k). For equal distances, the first
        reference comes first.

    Raises:
        ValueError: k is less than 1 or more than the references, or shapes differ.
    """
    if isinstance(references, Tensor):
        references = references.split(1000)
    shape, queries = queries.shape[1:], queries.flatten(1).double()
    squared = queries.new_empty(len(queries), 0)  # of the nearest so far, and their indices
    indices = queries.new_empty(len(queries), 0, dtype=torch.long)
    count = 0
    for batch in references:
        check_same_shape(shape, batch.shape[1:])
        numbers = torch.arange(count, count + len(batch), device=queries.device)
        count += len(batch)
        squared = torch.cat([squared, _squared_distances(queries, batch.to(queries.device))], 1)
        indices = torch.cat([indices, numbers.expand(len(queries), -1)], 1)
        squared, order = squared.sort(dim=1, stable=True)
        squared, indices = squared[:, :k], indices.gather(1, order[:, :k])
    if not 1 <= k <= count:
        raise ValueError(f"k={k} nearest of {count} images: k must be from 1 to their number")
    return squared.sqrt(), indices


def _squared_distances(queries: Tensor, references: Tensor) -> Tensor:
    # A matrix product is ten times as fast as differences, and exact for integers in float64.
    references = references.flatten(1).double()
    norms = queries.square().sum(dim=1, keepdim=True) + references.square().sum(dim=1)
    return (norms - 2 * queries @ references.T).clamp(min=0)


def held_out_images(source: Any) -> Tensor:
    """Return the raw images (N, C, H, W) of a fixed random selection, at most MAX_HELD_OUT.

    The first images of a source may differ from the others, as in the test set of MNIST.

    Args:
        source: The held-out samples.
    """
    # The seed keeps its spelling: results depend on it.
    chosen = keyed_permutation(len(source), "neighbours")[:MAX_HELD_OUT]
    return source[chosen]["image"]


def copying(samples: Tensor, held_out: Tensor) -> Copying:
    """Test whether samples are closer to training images than held-out real images are.

    Args:
        samples: Distances (M,) of samples to their nearest training image.
        held_out: Distances (N,) of held-out images to theirs.
    """
    samples, ordered = samples.contiguous(), held_out.sort().values
    pairs = len(samples) * len(held_out)
    nearer = torch.searchsorted(ordered, samples)  # held-out images with a smaller distance
    not_farther = torch.searchsorted(ordered, samples, right=True)
    u = (nearer + not_farther).sum().item() / 2  # Mann-Whitney U; ties count half
    deviation = (pairs * (len(samples) + len(held_out) + 1) / 12) ** 0.5
    return Copying(share=1 - u / pairs, z=(u - pairs / 2) / deviation)
