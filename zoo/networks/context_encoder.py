"""Networks of Context Encoders (Pathak et al. 2016, arXiv 1604.07379), as in the authors' code.

As in DCGAN, maps are halved from `image_size` to `start`, the size of the smallest maps.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from zoo.networks.dcgan import init_weights_, stages
from zoo.networks.dense_conv import ConvTo1x1, ConvTransposeFrom1x1


def stage_widths(image_size: int, width: int, half: bool = False) -> tuple[int, list[int]]:
    """Return the size of the smallest maps, and the channels of each stage.

    Args:
        image_size: Height and width of the whole images.
        width: Channels of the stage next to the image.
        half: Whether the network is for images of half the size, with one stage fewer.

    Returns:
        (start, channels from the image inwards): 4 and 64, 64, 128, 256, 512 for images of 128.
    """
    start, count = stages(image_size)
    count -= half
    return start, [width * max(8 >> (count - 1 - stage), 1) for stage in range(count)]


class ChannelWise(nn.Module):
    """A fully connected layer within each channel: (N, m, n, n) -> (N, m, n, n).

    It has m n^4 weights instead of the m^2 n^4 of a layer that mixes the channels.

    Args:
        channels: m.
        side: n.
    """

    def __init__(self, channels: int, side: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, side**2, side**2))
        nn.init.uniform_(self.weight, -1 / side, 1 / side)  # as nn.Linear with side**2 inputs

    def forward(self, maps: Tensor) -> Tensor:
        return torch.einsum("nci,cij->ncj", maps.flatten(2), self.weight).view_as(maps)


def downsampling_layers(image_channels: int, widths: list[int]) -> list[nn.Module]:
    """Return strided convolutions, with batch norm after all but the first."""
    layers: list[nn.Module] = [
        nn.Conv2d(image_channels, widths[0], 4, stride=2, padding=1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(after), nn.LeakyReLU(0.2, inplace=True)]
    return layers


def encoder(image_size: int, image_channels: int, width: int, bottleneck: int) -> nn.Sequential:
    """Images (N, C, H, W) -> codes (N, bottleneck, 1, 1), or (N, m, start, start) for 0.

    Args:
        image_size: Height and width of the images; see zoo.networks.dcgan.stages.
        image_channels: Channels of the images.
        width: Channels of the first layer.
        bottleneck: Size of the code. 0 replaces the bottleneck with a channel-wise fully connected
            layer and a 1x1 convolution that mixes the m channels.
    """
    start, widths = stage_widths(image_size, width)
    layers, top = downsampling_layers(image_channels, widths), widths[-1]
    if bottleneck:
        layers += [ConvTo1x1(top, bottleneck, start)]
    else:
        layers += [ChannelWise(top, start), nn.Conv2d(top, top, 1, bias=False)]
    layers += [nn.BatchNorm2d(bottleneck or top), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers).apply(init_weights_)


def decoder(
    image_size: int, image_channels: int, width: int, bottleneck: int, half: bool
) -> nn.Sequential:
    """Codes of `encoder` -> images (N, C, H, W) in [-1, 1].

    Args:
        image_size: Height and width of the encoder's images.
        image_channels: Channels of the images.
        width: Channels of the last hidden layer.
        bottleneck: `bottleneck` of the encoder.
        half: Whether the images have half the encoder's size.
    """
    start, widths = stage_widths(image_size, width, half)
    layers: list[nn.Module] = []
    if bottleneck:
        layers += [ConvTransposeFrom1x1(bottleneck, widths[-1], start)]
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True)]
    for before, after in pairwise(reversed(widths)):
        layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    layers += [nn.ConvTranspose2d(widths[0], image_channels, 4, stride=2, padding=1, bias=False)]
    return nn.Sequential(*layers, nn.Tanh()).apply(init_weights_)


def discriminator(image_size: int, image_channels: int, width: int, half: bool) -> nn.Sequential:
    """Images (N, C, H, W) -> logits (N,).

    Args:
        image_size: Height and width of the encoder's images.
        image_channels: Channels of the images.
        width: Channels of the first layer.
        half: Whether the images have half the encoder's size.
    """
    start, widths = stage_widths(image_size, width, half)
    layers = [*downsampling_layers(image_channels, widths), ConvTo1x1(widths[-1], 1, start)]
    return nn.Sequential(*layers, nn.Flatten(0)).apply(init_weights_)
