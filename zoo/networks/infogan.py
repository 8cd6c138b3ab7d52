"""InfoGAN's networks for MNIST (Chen et al. 2016, arXiv 1606.03657, table 1 of the appendix).

At 28x28 and width 64 they are the paper's; a size that is doubled more than twice gets a
convolution more in each, as wide as DCGAN's. No biases before batch norm, whose own replace them.
"""

from itertools import pairwise

from torch import nn

from zoo.networks.dcgan import stages

SLOPE = 0.1  # of leaky ReLU; 0.01 in the authors' code


def generator(image_size, image_channels, latent_dim, width):
    """(N, Z) -> (N, C, H, W) in [-1, 1]; the layer before the image has `width` channels."""
    start, count = stages(image_size)
    channels = [width * 2**stage for stage in reversed(range(count))]
    sizes = latent_dim, 16 * width, channels[0] * start**2
    layers = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU()]
    layers.append(nn.Unflatten(1, (channels[0], start, start)))
    for before, after in pairwise(channels):
        layers += [
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    layers += [nn.ConvTranspose2d(channels[-1], image_channels, 4, 2, padding=1), nn.Tanh()]
    return initialize(nn.Sequential(*layers))


def discriminator(image_size, image_channels, width, norm=True):
    """(N, C, H, W) -> (N,) logits; the first layer has `width` channels. norm: batch norm."""
    start, count = stages(image_size)
    channels = [width * 2**stage for stage in range(count)]
    features = 16 * width
    layers = [nn.Conv2d(image_channels, width, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    for before, after in pairwise(channels):
        layers += [
            nn.Conv2d(before, after, 4, stride=2, padding=1, bias=not norm),
            *([nn.BatchNorm2d(after)] if norm else []),
            nn.LeakyReLU(SLOPE),
        ]
    layers += [
        nn.Flatten(),
        nn.Linear(channels[-1] * start**2, features, bias=not norm),
        *([nn.BatchNorm1d(features)] if norm else []),
        nn.LeakyReLU(SLOPE),
        nn.Linear(features, 1),
        nn.Flatten(0),
    ]
    return initialize(nn.Sequential(*layers))


def initialize(network):
    """Weights from N(0, 0.02), batch norm's gains from N(1, 0.02), as in the authors' code."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return network
