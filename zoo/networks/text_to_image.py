"""The generator and the discriminator of Reed et al. 2016 (arXiv 1605.05396), as the authors' code.

Sides are halved as in DCGAN, from `image_size` to the side of the smallest maps.
"""

from itertools import pairwise

import torch
from torch import nn

from zoo.networks.dcgan import initialize, stages
from zoo.networks.dense_conv import FromPixel, ToPixel


class Residual(nn.Module):
    """(N, C, H, W) -> the same: a bottleneck of a quarter of the channels beside a shortcut."""

    def __init__(self, channels, activation):
        super().__init__()
        inner = max(channels // 4, 1)
        self.layers = nn.Sequential(
            *block(nn.Conv2d(channels, inner, 1, bias=False), activation),
            *block(nn.Conv2d(inner, inner, 3, padding=1, bias=False), activation),
            nn.Conv2d(inner, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.activation = activation

    def forward(self, maps):
        return self.activation(maps + self.layers(maps))


class Generator(nn.Module):
    """Latents (N, Z) and embeddings (N, F) -> (N, C, H, W) in [-1, 1].

    The layer before the image has `width` channels; the two smallest sizes have residual blocks.
    """

    def __init__(
        self, image_size, image_channels, latent_dim, embedding_dim, projection_dim, width
    ):
        super().__init__()
        start, count = stages(image_size)
        channels = [width * 2**stage for stage in reversed(range(count))]
        relu = nn.ReLU()
        self.text = nn.Sequential(nn.Linear(embedding_dim, projection_dim), nn.LeakyReLU(0.2))
        inputs = latent_dim + projection_dim
        layers = [nn.Unflatten(1, (inputs, 1, 1))]
        layers += block(FromPixel(inputs, channels[0], start), None)
        layers += [Residual(channels[0], relu)]
        for place, (before, after) in enumerate(pairwise(channels)):
            conv = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)
            layers += (
                [*block(conv, None), Residual(after, relu)] if place == 0 else block(conv, relu)
            )
        layers += [nn.ConvTranspose2d(width, image_channels, 4, stride=2, padding=1, bias=False)]
        self.image = initialize(nn.Sequential(*layers, nn.Tanh()))

    def forward(self, latent, embedding):
        return self.image(torch.cat([latent, self.text(embedding)], dim=1))


class Discriminator(nn.Module):
    """Images (N, C, H, W) and embeddings (N, F) -> logits (N,); they meet at the smallest maps.

    The first layer has `width` channels.
    """

    def __init__(self, image_size, image_channels, embedding_dim, projection_dim, width):
        super().__init__()
        start, count = stages(image_size)
        channels = [width * 2**stage for stage in range(count)]
        top, leaky = channels[-1], nn.LeakyReLU(0.2)
        layers = [nn.Conv2d(image_channels, width, 4, stride=2, padding=1, bias=False), leaky]
        for before, after in pairwise(channels):
            conv = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False)
            layers += block(conv, None if after == top else leaky)
        self.image = initialize(nn.Sequential(*layers, Residual(top, leaky)))
        self.text = nn.Sequential(
            nn.Linear(embedding_dim, projection_dim), nn.BatchNorm1d(projection_dim), leaky
        )
        joined = nn.Conv2d(top + projection_dim, top, 1, bias=False)
        logit = ToPixel(top, 1, start)
        self.both = initialize(nn.Sequential(*block(joined, leaky), logit, nn.Flatten(0)))

    def forward(self, images, embedding):
        maps = self.image(images)
        text = self.text(embedding)[:, :, None, None].expand(-1, -1, *maps.shape[2:])
        return self.both(torch.cat([maps, text], dim=1))


def block(conv, activation):
    """Layers: a convolution, batch norm and an activation, where there is one."""
    channels = conv.out_channels
    return [conv, nn.BatchNorm2d(channels), *([activation] if activation else [])]
