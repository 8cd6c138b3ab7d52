"""What a player against another shows of its health: tensors in, a tensor () out, no sync."""

import torch
from torch import Tensor

from zoo.networks.spectral_norm import LAYERS

SURE = 20.0  # beyond this logit a sigmoid's slope is below 2e-9, and so is what is learned from it


def separation(real: Tensor, fake: Tensor) -> Tensor:
    """The chance that a real image's logit is above a generated one's; (N,) and (M,).

    Right for any head, whatever its threshold: 1/2 where the adversary cannot tell them apart, 1
    where it errs never. Equal logits count half.
    """
    differences = real[:, None] - fake[None, :]
    return (differences.sign().mean() + 1) / 2


def saturation(real: Tensor, fake: Tensor) -> Tensor:
    """The share of logits beyond ±20."""
    return (torch.cat([real, fake]).abs() > SURE).float().mean()


def diversity(real: Tensor, fake: Tensor) -> Tensor:
    """The mean distance of two generated images over that of two real ones; (N, C, H, W) both."""
    between = [torch.pdist(images.flatten(1).float()).mean() for images in (real, fake)]
    return between[1] / between[0].clamp_min(1e-12)


def norm(gradients: list[Tensor]) -> Tensor:
    """The norm of a list of gradients as one vector."""
    return torch.stack(torch._foreach_norm(gradients)).float().norm()


@torch.no_grad()
def spectral_norms(network: torch.nn.Module, iterations: int = 20) -> Tensor:
    """The largest singular value of each linear map of a network, (L,).

    By power iterations from a fixed vector, so that no generator moves; a bound from below.
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()  # in which spectral normalisation keeps its iterates
    weights = [m.weight.flatten(1).float() for m in network.modules() if isinstance(m, LAYERS)]
    for module, mode in modes.items():
        module.training = mode
    norms = [_largest(weight, iterations) for weight in weights]
    return torch.stack(norms) if norms else torch.zeros(0)


def _largest(weight, iterations):
    vector = torch.arange(1.0, weight.shape[1] + 1, device=weight.device).cos()
    for _ in range(iterations):
        vector = torch.nn.functional.normalize(weight.T @ (weight @ vector), dim=0)
    return (weight @ vector).norm()
