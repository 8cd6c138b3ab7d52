"""Fully connected networks for toy data and small images.

They have three hidden layers, as for the toy data of Gulrajani et al. 2017 (arXiv 1704.00028).
"""

import math
from collections.abc import Callable
from functools import partial

from torch import nn


def generator(image_size: int, image_channels: int, latent_dim: int, width: int) -> nn.Sequential:
    """Latents (N, Z) -> images (N, C, H, W) in [-1, 1].

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        latent_dim: Z.
        width: Units of each hidden layer.
    """
    shape = (image_channels, image_size, image_size)
    hidden = hidden_layers(latent_dim, width, nn.ReLU)
    return nn.Sequential(
        *hidden, nn.Linear(width, math.prod(shape)), nn.Tanh(), nn.Unflatten(1, shape)
    )


def discriminator(
    image_size: int, image_channels: int, width: int, norm: bool = False
) -> nn.Sequential:
    """Images (N, C, H, W) -> logits (N,).

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        width: Units of each hidden layer.
        norm: Has no effect: there is no batch norm.
    """
    hidden = hidden_layers(image_channels * image_size**2, width, partial(nn.LeakyReLU, 0.2))
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, 1), nn.Flatten(0))


def hidden_layers(inputs: int, width: int, activation: Callable[[], nn.Module]) -> list[nn.Module]:
    """Return three hidden layers (N, inputs) -> (N, width), with activations."""
    linear = [nn.Linear(inputs, width), nn.Linear(width, width), nn.Linear(width, width)]
    return [layer for hidden in linear for layer in (hidden, activation())]
