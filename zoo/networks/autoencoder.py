"""Encoders of images and decoders of codes, fully connected or convolutional, by `network`.

"mlp" has two hidden layers of `width` tanh units, as Burda, Grosse, Salakhutdinov 2016 (arXiv
1509.00519) have; "conv" halves the image by DCGAN's strided convolutions, without batch norm, of
which the one next to the image has `width` maps. Both may be given numbers (N, G) beside their
input.
"""

from itertools import pairwise

import torch
from torch import nn

from zoo import precision
from zoo.networks.dcgan import stages

NETWORKS = ("mlp", "conv")


def check(network):
    """ValueError for a name that is none of NETWORKS."""
    if network not in NETWORKS:
        raise ValueError(f"model.network={network}: there are {', '.join(NETWORKS)}.")


class Encoder(nn.Module):
    """(N, C, H, W) -> (N, outputs)"""

    def __init__(self, network, image_size, channels, outputs, width, condition=0):
        super().__init__()
        check(network)
        self.maps = nn.Flatten()
        features = channels * image_size**2
        if network == "conv":
            start, count = stages(image_size)
            widths = [channels, *(width * 2**stage for stage in range(count))]
            layers = [
                layer
                for before, after in pairwise(widths)
                for layer in (nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU())
            ]
            self.maps, features = nn.Sequential(*layers, nn.Flatten()), widths[-1] * start**2
            hidden, activation = [features], nn.ReLU
        else:
            hidden, activation = [width, width], nn.Tanh
        self.units = dense(features + condition, hidden, outputs, activation)

    def forward(self, images, condition=None):
        return self.units(joined(self.maps(images), condition))


class Decoder(nn.Module):
    """(N, Z) -> (N, outputs, H, W), unbounded, in float32; `outputs` numbers for each pixel."""

    def __init__(self, network, image_size, outputs, latent_dim, width, condition=0):
        super().__init__()
        check(network)
        shape = outputs, image_size, image_size
        if network == "conv":
            start, count = stages(image_size)
            widths = [width * 2**stage for stage in reversed(range(count))]
            features = widths[0] * start**2
            layers = [nn.Linear(latent_dim + condition, features), nn.ReLU()]
            layers += [nn.Unflatten(1, (widths[0], start, start))]
            for before, after in pairwise(widths):
                layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
            layers += [precision.ConvTranspose2d(widths[-1], outputs, 4, stride=2, padding=1)]
            self.layers = nn.Sequential(*layers)
        else:
            units = dense(latent_dim + condition, [width, width], outputs * image_size**2, nn.Tanh)
            units[-1] = precision.Linear(width, outputs * image_size**2)
            self.layers = nn.Sequential(units, nn.Unflatten(1, shape))

    def forward(self, latent, condition=None):
        return self.layers(joined(latent, condition))


def dense(inputs, hidden, outputs, activation):
    """Hidden layers of so many units each, and a last one without activation."""
    widths = [inputs, *hidden]
    layers = [
        layer
        for before, after in pairwise(widths)
        for layer in (nn.Linear(before, after), activation())
    ]
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))


def joined(features, condition):
    """Features (N, F), and what is given (N, G) after them."""
    return features if condition is None else torch.cat([features, condition], dim=1)
