"""The networks of Context Encoders (Pathak et al. 2016, arXiv 1604.07379), as the authors' code.

Sides are halved as in DCGAN, from `image_size` to the side `start` of the smallest maps.
"""

from itertools import pairwise

import torch
from torch import nn

from zoo.networks.dcgan import initialize, stages
from zoo.networks.dense_conv import FromPixel, ToPixel


def shape(image_size, width, half=False):
    """(start, channels of the maps from the image inwards): 4 and 64, 64, 128, 256, 512 of 128.

    half: of a network for the half of such an image, that has one stage less.
    """
    start, count = stages(image_size)
    count -= half
    return start, [width * max(8 >> (count - 1 - stage), 1) for stage in range(count)]


class ChannelWise(nn.Module):
    """A fully-connected layer for each of m maps of n x n: m n^4 weights instead of m^2 n^4.

    (N, m, n, n) -> the same; no map hears of another.
    """

    def __init__(self, channels, side):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, side**2, side**2))
        nn.init.uniform_(self.weight, -1 / side, 1 / side)  # as nn.Linear of side**2 inputs

    def forward(self, maps):
        return torch.einsum("nci,cij->ncj", maps.flatten(2), self.weight).view_as(maps)


def halvings(image_channels, widths):
    """Strided convolutions, batch norm in all but the first."""
    layers = [nn.Conv2d(image_channels, widths[0], 4, stride=2, padding=1, bias=False)]
    layers += [nn.LeakyReLU(0.2, inplace=True)]
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(after), nn.LeakyReLU(0.2, inplace=True)]
    return layers


def encoder(image_size, image_channels, width, bottleneck):
    """(N, C, H, W) -> (N, bottleneck, 1, 1); of a bottleneck of 0 (N, m, start, start).

    That is a channel-wise layer, and a convolution of stride 1 to mix the m maps.
    """
    start, widths = shape(image_size, width)
    layers, top = halvings(image_channels, widths), widths[-1]
    if bottleneck:
        layers += [ToPixel(top, bottleneck, start)]
    else:
        layers += [ChannelWise(top, start), nn.Conv2d(top, top, 1, bias=False)]
    layers += [nn.BatchNorm2d(bottleneck or top), nn.LeakyReLU(0.2, inplace=True)]
    return initialize(nn.Sequential(*layers))


def decoder(image_size, image_channels, width, bottleneck, half):
    """What the encoder gives -> (N, C, H, W) in [-1, 1]; half: of half the side."""
    start, widths = shape(image_size, width, half)
    layers = []
    if bottleneck:
        layers += [FromPixel(bottleneck, widths[-1], start)]
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True)]
    for before, after in pairwise(reversed(widths)):
        layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    layers += [nn.ConvTranspose2d(widths[0], image_channels, 4, stride=2, padding=1, bias=False)]
    return initialize(nn.Sequential(*layers, nn.Tanh()))


def discriminator(image_size, image_channels, width, half):
    """(N, C, H, W), half: of half the side -> logits (N,)."""
    start, widths = shape(image_size, width, half)
    logit = ToPixel(widths[-1], 1, start)
    return initialize(nn.Sequential(*halvings(image_channels, widths), logit, nn.Flatten(0)))
