"""The pairs of networks of Salimans et al. 2016: fully connected for MNIST, else convolutional."""

import math
from itertools import pairwise

from torch import nn

from zoo.networks.dcgan import stages
from zoo.networks.dropout import Dropout
from zoo.networks.salimans2016_layers import (
    Discriminator,
    GaussianNoise,
    MinibatchDiscrimination,
    ToUnit,
    batch_norm,
    normalized,
)

SPREAD = {"direction_std": 0.05}  # of the directions in the convolutional networks


def mlp_generator(image_size, image_channels, latent_dim, width, reference=0):
    """(N, Z) -> (N, C, H, W) in [-1, 1]: two softplus layers, the authors' `width` is 500."""
    shape = (image_channels, image_size, image_size)
    layers = []
    for before, after in pairwise((latent_dim, width, width)):
        layers += [nn.Linear(before, after, bias=False)]
        layers += [batch_norm(after, reference=reference), nn.Softplus()]
    last = normalized(nn.Linear(width, math.prod(shape)), gain=1.0, output_std=None)
    weights = [layer.weight for layer in layers if isinstance(layer, nn.Linear)]
    for weight in (*weights, last.parametrizations.weight.original1):
        nn.init.xavier_uniform_(weight)
    # 2 sigmoid(x) - 1 = tanh(x / 2) in [-1, 1] is the authors' sigmoid in [0, 1].
    return nn.Sequential(*layers, last, HalfTanh(), nn.Unflatten(1, shape))


class HalfTanh(nn.Module):
    """A sigmoid stretched to [-1, 1]."""

    def forward(self, logits):
        return (logits / 2).tanh()


def mlp_discriminator(image_size, image_channels, classes, width, kernels=0):
    """Images -> logits and features: five layers, the widest has `width`, the authors' 1,000.

    Gaussian noise of 0.3 on the image and of 0.5 on each layer, ReLU, weight normalisation.
    """
    widths = [max(8, width // part) for part in (1, 2, 4, 4, 4)]  # of two ReLUs both may be dead
    trunk = [ToUnit(), nn.Flatten(), GaussianNoise(0.3)]
    for before, after in pairwise((image_channels * image_size**2, *widths)):
        trunk += [normalized(nn.Linear(before, after)), nn.ReLU(), GaussianNoise(0.5)]
    noise = trunk.pop()  # features are matched without the noise
    return Discriminator(trunk, [noise, *head(widths[-1], classes, kernels)])


def head(width, classes, kernels, **initial):
    """Minibatch discrimination, where it has kernels, and the linear layer of the logits."""
    closeness = [MinibatchDiscrimination(width, kernels)] if kernels else []
    return [*closeness, normalized(nn.Linear(width + kernels, classes), gain=1.0, **initial)]


def conv_generator(image_size, image_channels, latent_dim, width, reference=0):
    """(N, Z) -> (N, C, H, W) in [-1, 1]: the first maps, 4x4 for 32x32, have `width` channels.

    A linear layer and 5x5 deconvolutions that double the size, batch norm without gain and ReLU
    behind all but the last. The authors' width is 512.
    """
    start, count = stages(image_size)
    channels = [max(1, width // 2**stage) for stage in range(count)]
    layers = [nn.Linear(latent_dim, width * start**2, bias=False)]
    layers += [batch_norm(width * start**2, reference=reference), nn.ReLU()]
    layers += [nn.Unflatten(1, (width, start, start))]
    up = {"kernel_size": 5, "stride": 2, "padding": 2, "output_padding": 1}
    for before, after in pairwise(channels):
        layers += [nn.ConvTranspose2d(before, after, bias=False, **up)]
        layers += [batch_norm(after, maps=True, reference=reference), nn.ReLU()]
    for layer in layers:
        if hasattr(layer, "weight") and layer.weight is not None:
            nn.init.normal_(layer.weight, std=SPREAD["direction_std"])
    last = nn.ConvTranspose2d(channels[-1], image_channels, **up)
    last = normalized(last, gain=1.0, output_std=0.1, dim=1, **SPREAD)
    return nn.Sequential(*layers, last, nn.Tanh())


def conv_discriminator(image_size, image_channels, classes, width, kernels=0):
    """Images -> logits and features, the means of the last maps over the places.

    Three 3x3 convolutions of `width` channels, three of twice as many, the last of each with
    stride 2, one without padding, two of 1x1; dropout before each group. The authors' width is 96
    for CIFAR-10, 64 for SVHN. Images too small for the one without padding are padded there, too.
    """
    narrow, wide = width, 2 * width
    padding = 0 if image_size > 8 else 1
    trunk = [Dropout(0.2)]
    for before, after in ((image_channels, narrow), (narrow, wide)):
        trunk += conv(before, after, padding=1) + conv(after, after, padding=1)
        trunk += [*conv(after, after, padding=1, stride=2), Dropout(0.5)]
    trunk += conv(wide, wide, padding=padding) + conv(wide, wide, size=1) + conv(wide, wide, size=1)
    trunk += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return Discriminator(trunk, head(wide, classes, kernels, output_std=0.1, **SPREAD))


def conv(before, after, size=3, **how):
    """A convolution with weight normalisation, and leaky ReLU."""
    return [normalized(nn.Conv2d(before, after, size, **how), **SPREAD), nn.LeakyReLU(0.2)]


GENERATORS = {"mlp": mlp_generator, "conv": conv_generator}
DISCRIMINATORS = {"mlp": mlp_discriminator, "conv": conv_discriminator}
