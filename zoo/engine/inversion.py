"""Searches for the latents of given images: descents on an error, from several starts.

Latents are (N, Z), as `model.prior(N)` gives them. A model whose latents are bounded also gives
`project(latents)`, the nearest ones within the bounds; a search never leaves these.
"""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from zoo.engine.seeds import reseed
from zoo.media.images import check_same_shape


def recover(
    model,
    images: Tensor,
    iterations: int = 300,
    lr: float = 0.1,
    restarts: int = 4,
    seed: int = 0,
    condition: dict[str, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Latents (N, Z) of the samples nearest to images (N, C, H, W) in [-1, 1], and their errors.

    Adam descends the mean squared error of each image (N,) from `restarts` draws of the prior, and
    the best end counts (Lipton, Tripathi 2017, arXiv 1702.04782, who take plain gradient steps;
    Webster et al. 2019, arXiv 1901.03396, compare the errors of training and test images). Latents
    stay within their bounds, see `project`. The model is in eval mode, with averaged weights if it
    has them, and remains as it was.

    given: conditions of the images

    Raises ValueError for images of another shape than the model's, and for restarts < 1.
    """
    if restarts < 1:
        raise ValueError(f"restarts={restarts} must be at least 1")

    def errors(latents):
        samples = model.sample(len(images), (condition or {}) | {"latent": latents})
        check_same_shape(samples.shape[1:], images.shape[1:])
        return (samples - images).square().flatten(1).mean(dim=1)

    with model.evaluating():
        starts = []
        for restart in range(restarts):
            reseed(model.device, seed, "recover", restart)
            starts.append(model.prior(len(images)).detach())
        return descend(errors, starts, iterations, lr, partial(project, model))


def project(model, latents: Tensor) -> Tensor:
    """The nearest latents (N, Z) within the bounds of a model's, which may have none."""
    return model.project(latents) if hasattr(model, "project") else latents


def nearest_starts(
    distance: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    candidates: Tensor,
    generated: Tensor,
    restarts: int,
) -> Tensor:
    """For each image the `restarts` candidates whose images are nearest, (restarts, N, Z).

    Args:
        distance: of images (K, C, H, W) and as many others, (K,).
        images: (N, C, H, W).
        candidates: latents (K, Z), the same for all images.
        generated: their images, (K, C, H, W).
        restarts: at most K.
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
    """Latents (N, Z) of the least errors that Adam reaches from several starts, and these errors.

    Args:
        errors: of latents (N, Z), (N,), each of its own latent alone.
        starts: latents (N, Z), one tensor for each descent.
        iterations: of Adam in each descent.
        lr: of Adam.
        project: brings latents back to where they are allowed, after each step.
    """
    found = []
    for start in starts:
        latents = start.clone()
        with torch.enable_grad():
            optimizer = torch.optim.Adam([latents.requires_grad_()], lr=lr)
            for _ in range(iterations):
                # Not backward: it would leave gradients in the weights.
                (latents.grad,) = torch.autograd.grad(errors(latents).sum(), latents)
                optimizer.step()
                latents.data = project(latents.data)
        with torch.no_grad():
            found.append((latents.detach(), errors(latents)))
    latents, least = map(torch.stack, zip(*found, strict=True))  # (R, N, Z), (R, N)
    least, best = least.min(dim=0)
    return latents[best, torch.arange(len(best), device=best.device)], least
