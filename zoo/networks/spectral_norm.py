"""Spectral normalization (Miyato et al. 2018, arXiv 1802.05957)."""

from typing import TypeVar

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding)

Network = TypeVar("Network", bound=nn.Module)


def add_spectral_norm_(network: Network) -> Network:
    """Divide the weight W of each linear map by an estimate of its largest singular value.

    Each forward pass in training does one power iteration. Its vectors u and v are buffers, which
    do not change in eval mode. A convolution's weight is treated as a matrix (out, in · k · k).

    Layers whose weight is already normalized by a function of torch are not changed.

    Args:
        network: The network to change in place.

    Returns:
        The same network.
    """
    for module in network.modules():
        if isinstance(module, LAYERS) and not has_normalized_weight(module):
            spectral_norm(module)
    return network


def has_normalized_weight(layer: nn.Module) -> bool:
    """Return whether the weight is computed from others, as under spectral or weight norm."""
    old_style = any(hasattr(layer, name) for name in ("weight_orig", "weight_g"))
    return old_style or is_parametrized(layer, "weight")
