"""DCGAN's generator and discriminator (Radford, Metz, Chintala 2015, arXiv 1511.06434)."""

from itertools import pairwise

from torch import nn

from zoo.networks.dense_conv import FromPixel, ToPixel


def stages(image_size):
    """(start, count): image_size = start * 2**count, count at least 2, start at most 7.

    The paper's 64 is 4 * 2**4; 28 is 7 * 2**2, 8 is 2 * 2**2. Raises ValueError for a size that
    is no such product.
    """
    start, count = image_size, 0
    while start % 2 == 0 and (start > 7 or count < 2):
        start, count = start // 2, count + 1
    if not 2 <= start <= 7 or count < 2:
        sizes = {start * 2**count for start in range(2, 8) for count in range(2, 9)}
        near = sorted(sorted(sizes, key=lambda size: abs(size - image_size))[:3])
        raise ValueError(
            f"DCGAN's networks cannot make images of size {image_size}: a size is a number from 2 "
            f"to 7 doubled at least twice. Nearest: {', '.join(map(str, near))} "
            "(data.image_size=..., or model.network=mlp, where there are such)"
        )
    return start, count


def generator(image_size, image_channels, latent_dim, width, norm=True):
    """(N, Z) -> (N, C, H, W) in [-1, 1]; the layer before the image has `width` channels.

    norm: batch norm.
    """
    start, count = stages(image_size)
    channels = [width * 2**stage for stage in reversed(range(count))]
    layers = [
        nn.Unflatten(1, (latent_dim, 1, 1)),
        FromPixel(latent_dim, channels[0], start),
        *([nn.BatchNorm2d(channels[0])] if norm else []),
        nn.ReLU(inplace=True),
    ]
    for before, after in pairwise(channels):
        layers += [
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
            *([nn.BatchNorm2d(after)] if norm else []),
            nn.ReLU(inplace=True),
        ]
    layers += [
        nn.ConvTranspose2d(channels[-1], image_channels, 4, stride=2, padding=1, bias=False),
        nn.Tanh(),
    ]
    return initialize(nn.Sequential(*layers))


def discriminator(image_size, image_channels, width, norm=True):
    """(N, C, H, W) -> (N,) logits; the first layer has `width` channels. norm: batch norm."""
    start, count = stages(image_size)
    channels = [width * 2**stage for stage in range(count)]
    layers = [
        nn.Conv2d(image_channels, channels[0], 4, stride=2, padding=1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    for before, after in pairwise(channels):
        layers += [
            nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False),
            *([nn.BatchNorm2d(after)] if norm else []),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    layers += [ToPixel(channels[-1], 1, start), nn.Flatten(0)]
    return initialize(nn.Sequential(*layers))


def initialize(network):
    """Weights from N(0, 0.02), batch norm's gains from N(1, 0.02) (section 4 of the paper)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return network
