"""Health metrics of adversarial training, computed without synchronizing with the device."""

import torch
from torch import Tensor

from zoo.engine.evaluation import eval_mode
from zoo.networks.spectral_norm import LAYERS

SATURATED = 20.0  # the logit beyond which a sigmoid's slope is below 2e-9


def separation(real: Tensor, fake: Tensor) -> Tensor:
    """Return the probability that a real image's logit is above a generated one's.

    It does not depend on a threshold. It is 1/2 if the adversary cannot distinguish the images, and
    1 if it makes no errors. Equal logits count half.

    Args:
        real: Logits (N,) of real images.
        fake: Logits (M,) of generated images.
    """
    differences = real[:, None] - fake[None, :]
    return (differences.sign().mean() + 1) / 2


def saturation(real: Tensor, fake: Tensor) -> Tensor:
    """Return the share of logits beyond ±SATURATED."""
    return (torch.cat([real, fake]).abs() > SATURATED).float().mean()


def diversity(real: Tensor, fake: Tensor) -> Tensor:
    """Return the mean distance between generated images, divided by that between real ones.

    Args:
        real: (N, C, H, W).
        fake: (N, C, H, W).
    """
    between = [torch.pdist(images.flatten(1).float()).mean() for images in (real, fake)]
    return between[1] / between[0].clamp_min(1e-12)


def norm(gradients: list[Tensor]) -> Tensor:
    """Return the norm of the concatenation of a list of gradients."""
    return torch.stack(torch._foreach_norm(gradients)).float().norm()


@torch.no_grad()
def spectral_norms(network: torch.nn.Module, iterations: int = 20) -> Tensor:
    """Estimate the largest singular value of each linear map of a network, (L,).

    Power iteration from a fixed vector gives a lower bound and needs no random numbers.

    Args:
        network: The network.
        iterations: Number of power iterations.
    """
    with eval_mode(network):  # in which spectral normalization does no power iteration
        weights = [m.weight.flatten(1).float() for m in network.modules() if isinstance(m, LAYERS)]
    norms = [_largest(weight, iterations) for weight in weights]
    return torch.stack(norms) if norms else torch.zeros(0)


def _largest(weight: Tensor, iterations: int) -> Tensor:
    vector = torch.arange(1.0, weight.shape[1] + 1, device=weight.device).cos()
    for _ in range(iterations):
        vector = torch.nn.functional.normalize(weight.T @ (weight @ vector), dim=0)
    return (weight @ vector).norm()
