"""What latents tell of a model: paths between them, sums of them, and how near it comes to images.

Latents are (N, Z), as `model.prior(N)` gives them; the images of latents are
`model.sample(N, {"latent": latents})`.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot


class Copying(NamedTuple):
    """The three-sample test of data-copying (Meehan, Chaudhuri, Dasgupta 2020, arXiv 2004.05675).

    share: of the pairs of a sample and a held-out image, those in which the sample is the nearer
        to its nearest training image (a tie counts half); 0.5 for a perfect model, 1 for a copier
    z: the paper's Z_U of all samples at once: standard deviations away from 0.5, and negative
        where the samples are too near
    """

    share: float
    z: float


def linear(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Points (N, steps, Z) on the straight lines from start to end, both (N, Z) and included.

    Raises ValueError for fewer than two steps.
    """
    return torch.lerp(start[:, None], end[:, None], _times(start, steps))


def spherical(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Points (N, steps, Z) on the great arcs from start to end, both (N, Z) and included.

    The directions follow slerp (Shoemake 1985; for latents White 2016, arXiv 1609.04468), the
    norms change linearly: no point is nearer to the origin than both ends. Between opposite
    directions, where every arc is as short, one is chosen that depends on `start` alone. Raises
    ValueError for fewer than two steps.
    """
    times = _times(start, steps)  # (steps, 1)
    origin, target = normalize(start), normalize(end)
    # The arc cosine would lose half the digits of small angles and of those near pi.
    angle = 2 * torch.atan2((target - origin).norm(dim=1), (target + origin).norm(dim=1))
    angles = times * angle[:, None, None]  # (N, steps, 1)
    directions = angles.cos() * origin[:, None] + angles.sin() * _across(origin, target)[:, None]
    norms = torch.lerp(start.norm(dim=1)[:, None, None], end.norm(dim=1)[:, None, None], times)
    points = norms * directions
    points[:, 0], points[:, -1] = start, end
    return points


def _times(start, steps):
    if steps < 2:
        raise ValueError(f"a path has its two ends at least: steps={steps} is too few")
    return torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None]


def _across(origin, target):
    """Unit vectors (N, Z) at right angles to `origin`, towards `target`, both of length 1."""

    def rejected(vectors):
        return vectors - (vectors * origin).sum(dim=1, keepdim=True) * origin

    rest = rejected(target)
    axis = one_hot(origin.abs().argmin(dim=1), origin.shape[1]).to(origin)
    # What is left of parallel ones is rounding, which may point along `origin`.
    parallel = rest.norm(dim=1, keepdim=True) < 1000 * torch.finfo(origin.dtype).eps
    return normalize(torch.where(parallel, rejected(axis), rest))


def arithmetic(base: Tensor, minus: Tensor, plus: Tensor) -> Tensor:
    """mean(base) - mean(minus) + mean(plus), (Z,), of latents (n, Z) each.

    DCGAN (Radford, Metz, Chintala 2015, arXiv 1511.06434), section 6.3.2, figure 7, takes three of
    each: single ones are unstable.
    """
    return base.mean(dim=0) - minus.mean(dim=0) + plus.mean(dim=0)


def neighbourhood(latent: Tensor, radius: float = 0.25) -> Tensor:
    """A latent (Z,) in the middle of eight near it, (9, Z): noise uniform in ±radius is added.

    That of DCGAN's figure 7. Draws from the global generator.
    """
    noise = radius * (2 * torch.rand(9, len(latent), dtype=latent.dtype, device=latent.device) - 1)
    noise[4] = 0
    return latent + noise


def neighbours(
    queries: Tensor, references: Tensor | Iterable[Tensor], k: int = 1
) -> tuple[Tensor, Tensor]:
    """Euclidean distances (M, k), float64 ascending, to the nearest references, and their indices.

    queries: (M, ...)
    references: (N, ...), or batches of them, as a loader gives them: one at a time is in memory

    Of equally near references the first comes first. Distances of uint8 images are exact, up to
    the root; of floats, those below 1e-7 of the norms are rounding. Raises ValueError for k < 1,
    fewer than k references, or references of another shape than the queries.
    """
    if isinstance(references, Tensor):
        references = references.split(1000)
    shape, queries = queries.shape[1:], queries.flatten(1).double()
    squared = queries.new_empty(len(queries), 0)  # of the nearest so far, and their indices
    indices = queries.new_empty(len(queries), 0, dtype=torch.long)
    count = 0
    for batch in references:
        check_shapes(shape, batch.shape[1:])
        numbers = torch.arange(count, count + len(batch), device=queries.device)
        count += len(batch)
        squared = torch.cat([squared, _squared_distances(queries, batch.to(queries.device))], 1)
        indices = torch.cat([indices, numbers.expand(len(queries), -1)], 1)
        squared, order = squared.sort(dim=1, stable=True)
        squared, indices = squared[:, :k], indices.gather(1, order[:, :k])
    if not 1 <= k <= count:
        raise ValueError(f"k={k} nearest of {count} images: k must be from 1 to their number")
    return squared.sqrt(), indices


def check_shapes(samples: torch.Size, images: torch.Size) -> None:
    """ValueError unless samples and images are of the same shape."""
    if samples != images:
        raise ValueError(f"samples of shape {tuple(samples)}, but images of {tuple(images)}")


def _squared_distances(queries, references):
    # By a matrix product: ten times faster than differences. float64 holds its integers exactly.
    references = references.flatten(1).double()
    norms = queries.square().sum(dim=1, keepdim=True) + references.square().sum(dim=1)
    return (norms - 2 * queries @ references.T).clamp(min=0)


def copying(samples: Tensor, held_out: Tensor) -> Copying:
    """Whether samples are nearer to the training images than images are that no model has seen.

    samples, held_out: distances (M,) and (N,) to the nearest training image
    """
    samples, ordered = samples.contiguous(), held_out.sort().values
    pairs = len(samples) * len(held_out)
    nearer = torch.searchsorted(ordered, samples)  # held-out images with a smaller distance
    as_near = torch.searchsorted(ordered, samples, right=True)
    u = (nearer + as_near).sum().item() / 2  # Mann and Whitney's, ties counted half
    deviation = (pairs * (len(samples) + len(held_out) + 1) / 12) ** 0.5
    return Copying(share=1 - u / pairs, z=(u - pairs / 2) / deviation)
