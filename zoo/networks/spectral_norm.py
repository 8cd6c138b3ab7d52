"""Spectral normalisation (Miyato et al. 2018, arXiv 1802.05957)."""

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding)


def normalized(network):
    """The network with the weight W of each linear map divided by its largest singular value.

    That is found by one power iteration a pass; its iterates u and v are buffers, and stand still
    in eval mode. A convolution's weight is the matrix (out, in · k · k).
    """
    for module in network.modules():
        if isinstance(module, LAYERS):
            spectral_norm(module)
    return network
