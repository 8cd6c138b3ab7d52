"""Paths between latents, arithmetic with latents, and their neighborhoods.

Latents are (N, Z), as `model.prior(N)` gives them; the images of latents are
`model.sample(N, {"latent": latents})`.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot


def linear(start: Tensor, end: Tensor, path_points: int) -> Tensor:
    """Return points on straight lines between latents.

    Args:
        start: (N, Z).
        end: (N, Z).
        path_points: Number of points per path, including both ends.

    Returns:
        (N, path_points, Z).

    Raises:
        ValueError: `path_points` is less than 2.
    """
    return torch.lerp(start[:, None], end[:, None], _times(start, path_points))


def spherical(start: Tensor, end: Tensor, path_points: int) -> Tensor:
    """Return points on great arcs between latents.

    The directions follow slerp (Shoemake 1985; for latents White 2016, arXiv 1609.04468), and the
    norms change linearly: no point is nearer to the origin than both ends. Between opposite
    directions all arcs have the same length; the one that is used depends on `start` alone.

    Args:
        start: (N, Z).
        end: (N, Z).
        path_points: Number of points per path, including both ends.

    Returns:
        (N, path_points, Z).

    Raises:
        ValueError: `path_points` is less than 2.
    """
    times = _times(start, path_points)  # (path_points, 1)
    origin, target = normalize(start), normalize(end)
    # The arc cosine loses half of the digits near 0 and pi.
    angle = 2 * torch.atan2((target - origin).norm(dim=1), (target + origin).norm(dim=1))
    angles = times * angle[:, None, None]  # (N, path_points, 1)
    axis = _perpendicular(origin, target)
    directions = angles.cos() * origin[:, None] + angles.sin() * axis[:, None]
    norms = torch.lerp(start.norm(dim=1)[:, None, None], end.norm(dim=1)[:, None, None], times)
    points = norms * directions
    points[:, 0], points[:, -1] = start, end
    return points


def _times(start: Tensor, path_points: int) -> Tensor:
    """Return (path_points, 1) from 0 to 1."""
    if path_points < 2:
        raise ValueError(f"path_points={path_points} must be at least 2: a path has two ends.")
    return torch.linspace(0, 1, path_points, dtype=start.dtype, device=start.device)[:, None]


def _perpendicular(origin: Tensor, target: Tensor) -> Tensor:
    """Return unit vectors (N, Z) perpendicular to `origin`, towards `target`, both of norm 1."""

    def rejected(vectors: Tensor) -> Tensor:
        return vectors - (vectors * origin).sum(dim=1, keepdim=True) * origin

    rest = rejected(target)
    axis = one_hot(origin.abs().argmin(dim=1), origin.shape[1]).to(origin)
    # For parallel vectors the rest is rounding error, which may point along `origin`.
    parallel = rest.norm(dim=1, keepdim=True) < 1000 * torch.finfo(origin.dtype).eps
    return normalize(torch.where(parallel, rejected(axis), rest))


def arithmetic(base: Tensor, minus: Tensor, plus: Tensor) -> Tensor:
    """Return mean(base) - mean(minus) + mean(plus), (Z,), of latents (n, Z) each.

    DCGAN (Radford, Metz, Chintala 2015, arXiv 1511.06434), section 6.3.2, figure 7, uses three
    latents each, because the result of single ones is unstable.
    """
    return base.mean(dim=0) - minus.mean(dim=0) + plus.mean(dim=0)


def neighborhood(latent: Tensor, radius: float = 0.25) -> Tensor:
    """Return a latent with eight others near it, as in DCGAN's figure 7.

    Args:
        latent: (Z,).
        radius: Uniform noise in ±radius is added, drawn from torch's global generator.

    Returns:
        (9, Z), the latent itself at index 4.
    """
    noise = radius * (2 * torch.rand(9, len(latent), dtype=latent.dtype, device=latent.device) - 1)
    noise[4] = 0
    return latent + noise
