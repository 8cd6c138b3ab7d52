"""Fully connected networks, for toy data and small images: three hidden layers, as the toys of
Gulrajani et al. 2017 (arXiv 1704.00028) have."""

import math
from functools import partial

from torch import nn


def generator(image_size, image_channels, latent_dim, width):
    """(N, Z) -> (N, C, H, W) in [-1, 1]; `width` units in each hidden layer."""
    shape = (image_channels, image_size, image_size)
    hidden = layers(latent_dim, width, nn.ReLU)
    return nn.Sequential(
        *hidden, nn.Linear(width, math.prod(shape)), nn.Tanh(), nn.Unflatten(1, shape)
    )


def discriminator(image_size, image_channels, width, norm=False):
    """(N, C, H, W) -> (N,) logits; `norm` changes nothing, there is none to leave out."""
    hidden = layers(image_channels * image_size**2, width, partial(nn.LeakyReLU, 0.2))
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, 1), nn.Flatten(0))


def layers(inputs, width, activation):
    """Three hidden layers (N, inputs) -> (N, width)."""
    linear = [nn.Linear(inputs, width), nn.Linear(width, width), nn.Linear(width, width)]
    return [layer for hidden in linear for layer in (hidden, activation())]
