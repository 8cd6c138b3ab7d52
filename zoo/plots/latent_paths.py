"""What latents tell of a model: paths between them, sums of them, and how near it comes to images.

Latents are (N, Z), as `model.prior(N)` gives them; the images of latents are
`model.sample(N, {"latent": latents})`.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot


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
