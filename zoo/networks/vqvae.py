"""Encoder and decoder of the VQ-VAE (van den Oord et al. 2017, arXiv 1711.00937), section 4.1."""

from torch import Tensor, nn

from zoo import precision


def encoder(channels: int, outputs: int, width: int, halvings: int, blocks: int) -> nn.Sequential:
    """Images (N, channels, H, W) -> (N, outputs, H / 2**halvings, W / 2**halvings).

    Args:
        channels: Channels of the images.
        outputs: Channels of the output.
        width: Feature maps of each layer.
        halvings: Number of convolutions with stride 2.
        blocks: Number of residual blocks.
    """
    layers: list[nn.Module] = []
    for inputs in [channels, *[width] * (halvings - 1)]:
        layers += [nn.Conv2d(inputs, width, 4, stride=2, padding=1), nn.ReLU()]
    layers += [nn.Conv2d(width, width, 3, padding=1)]
    layers += [ResidualBlock(width) for _ in range(blocks)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(width, outputs, 1))


def decoder(inputs: int, channels: int, width: int, halvings: int, blocks: int) -> nn.Sequential:
    """Vectors (N, inputs, h, w) -> images (N, channels, h * 2**halvings, w * 2**halvings).

    The output is unbounded, in float32.

    Args:
        inputs: Channels of the input.
        channels: Channels of the images.
        width: Feature maps of each layer.
        halvings: Number of transposed convolutions with stride 2.
        blocks: Number of residual blocks.
    """
    layers: list[nn.Module] = [nn.Conv2d(inputs, width, 3, padding=1)]
    layers += [ResidualBlock(width) for _ in range(blocks)]
    for _ in range(halvings - 1):
        layers += [nn.ReLU(), nn.ConvTranspose2d(width, width, 4, stride=2, padding=1)]
    last = precision.ConvTranspose2d(width, channels, 4, stride=2, padding=1)
    return nn.Sequential(*layers, nn.ReLU(), last)


class ResidualBlock(nn.Module):
    """x + ReLU, 3x3 convolution, ReLU, 1x1 convolution of x.

    Args:
        width: Channels of x.
    """

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(),  # not in place, because x is added
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.layers(maps)
