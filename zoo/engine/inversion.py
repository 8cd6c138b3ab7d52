"""Inversion: searches for the latents of images by gradient descent from several starts.

Latents are (N, Z), as `model.prior(N)` returns them. A model with bounded latents also defines
`project(latents)`, which returns the nearest latents within the bounds.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoo.engine.seeds import reseed
from zoo.media.images import check_same_shape


def recover(
    model: Any,
    images: Tensor,
    iterations: int = 300,
    lr: float = 0.1,
    restarts: int = 4,
    seed: int = 0,
    condition: dict[str, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Find the latents whose samples are nearest to images.

    Adam minimizes the mean squared error of each image from `restarts` draws of the prior, and the
    best result is returned (Lipton and Tripathi 2017, arXiv 1702.04782, with plain gradient steps;
    Webster et al. 2019, arXiv 1901.03396, compare the errors of training and test images). The
    model samples in eval mode, with averaged weights if it has them, and is not changed.

    Args:
        model: A model with a prior.
        images: (N, C, H, W) in [-1, 1].
        iterations: Number of Adam iterations of each search.
        lr: Learning rate of Adam.
        restarts: Number of searches for each image.
        seed: Seed of the starts.
        condition: Conditions of the images, N of each.

    Returns:
        Latents (N, Z) within their bounds, and the mean squared error (N,) of each.

    Raises:
        ValueError: The shape of the images differs from the model's, or restarts < 1.
    """
    if restarts < 1:
        raise ValueError(f"restarts={restarts} must be at least 1")

    def errors(latents: Tensor) -> Tensor:
        samples = model.sample(len(images), (condition or {}) | {"latent": latents})
        check_same_shape(samples.shape[1:], images.shape[1:])
        return (samples - images).square().flatten(1).mean(dim=1)

    with model.evaluating():
        starts = []
        for restart in range(restarts):
            reseed(model.device, seed, "recover", restart)
            starts.append(model.prior(len(images)).detach())
        return descend(errors, starts, iterations, lr, partial(project, model))


def project(model: Any, latents: Tensor) -> Tensor:
    """Return the nearest latents (N, Z) within the model's bounds, if it has bounds."""
    return model.project(latents) if hasattr(model, "project") else latents


def nearest_starts(
    distance: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    candidates: Tensor,
    generated: Tensor,
    restarts: int,
) -> Tensor:
    """Choose, for each image, the candidates whose generated images are nearest.

    Args:
        distance: Distance (K,) of images (K, C, H, W) from as many others.
        images: The images (N, C, H, W).
        candidates: Latents (K, Z), the same for all images.
        generated: The images (K, C, H, W) of the candidates.
        restarts: Number of candidates for each image, at most K.

    Returns:
        Latents (restarts, N, Z).
    """
    distances = torch.stack([distance(generated, image.expand_as(generated)) for image in images])
    nearest = distances.topk(restarts, dim=1, largest=False).indices  # (N, restarts)
    return candidates[nearest.T]


def descend(
    errors: Callable[[Tensor], Tensor],
    starts: Iterable[Tensor],
    iterations: int,
    lr: float,
    project: Callable[[Tensor], Tensor] = lambda latents: latents,
) -> tuple[Tensor, Tensor]:
    """Minimize errors of latents by Adam from several starts.

    Args:
        errors: Errors (N,) of latents (N, Z), each a function of its own latent only.
        starts: Latents (N, Z) of each start.
        iterations: Number of Adam iterations from each start.
        lr: Learning rate of Adam.
        project: Projects latents to their bounds, after each step.

    Returns:
        The best latents (N, Z), and their errors (N,).
    """
    found = []
    for start in starts:
        latents = start.clone()
        with torch.enable_grad():
            optimizer = torch.optim.Adam([latents.requires_grad_()], lr=lr)
            for _ in range(iterations):
                # Not `backward`, which would also compute gradients of the weights.
                (latents.grad,) = torch.autograd.grad(errors(latents).sum(), latents)
                optimizer.step()
                latents.data = project(latents.data)
        with torch.no_grad():
            found.append((latents.detach(), errors(latents)))
    latents, least = map(torch.stack, zip(*found, strict=True))  # (R, N, Z), (R, N)
    least, best = least.min(dim=0)
    return latents[best, torch.arange(len(best), device=best.device)], least
