"""Networks of Salimans et al. 2016: fully connected for MNIST, convolutional for other data."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from zoo.networks.dcgan import stages
from zoo.networks.dropout import Dropout
from zoo.networks.salimans2016_layers import (
    Discriminator,
    GaussianNoise,
    MinibatchDiscrimination,
    batch_norm,
)
from zoo.networks.weight_norm import add_weight_norm_

CONV_DIRECTION_STD = 0.05  # initial directions of weight norm in the convolutional networks


def mlp_generator(
    image_size: int, image_channels: int, latent_dim: int, width: int, reference: int = 0
) -> nn.Sequential:
    """Latents (N, Z) -> images (N, C, H, W) in [-1, 1]: two hidden softplus layers.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        latent_dim: Z.
        width: Units of each hidden layer; 500 in the authors' code.
        reference: Size of the reference batch of virtual batch norm; 0 for batch norm.
    """
    shape = (image_channels, image_size, image_size)
    layers: list[nn.Module] = []
    for before, after in pairwise((latent_dim, width, width)):
        layers += [nn.Linear(before, after, bias=False)]
        layers += [batch_norm(after, reference=reference), nn.Softplus()]
    last = add_weight_norm_(nn.Linear(width, math.prod(shape)), gain=1.0, output_std=None)
    weights = [layer.weight for layer in layers if isinstance(layer, nn.Linear)]
    for weight in (*weights, last.parametrizations.weight.original1):
        nn.init.xavier_uniform_(weight)
    # 2 sigmoid(x) - 1 = tanh(x / 2) in [-1, 1] is the authors' sigmoid in [0, 1].
    return nn.Sequential(*layers, last, HalfTanh(), nn.Unflatten(1, shape))


class ToUnitRange(nn.Module):
    """Map [-1, 1] to [0, 1], the range to which the authors add noise."""

    def forward(self, images: Tensor) -> Tensor:
        return (images + 1) / 2


class HalfTanh(nn.Module):
    """tanh(x / 2), a sigmoid that is rescaled to [-1, 1]."""

    def forward(self, logits: Tensor) -> Tensor:
        return (logits / 2).tanh()


def mlp_discriminator(
    image_size: int, image_channels: int, classes: int, width: int, kernels: int = 0
) -> Discriminator:
    """Images (N, C, H, W) -> logits (N, K) and features (N, F): five hidden layers.

    Gaussian noise is added to the image (standard deviation 0.3) and to each hidden layer (0.5).
    All layers have ReLU and weight norm.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        classes: K.
        width: Units of the first layer; 1000 in the authors' code.
        kernels: Kernels of minibatch discrimination; 0 for none.
    """
    widths = [max(8, width // divisor) for divisor in (1, 2, 4, 4, 4)]  # few ReLUs can all die
    trunk = [ToUnitRange(), nn.Flatten(), GaussianNoise(0.3)]
    for before, after in pairwise((image_channels * image_size**2, *widths)):
        trunk += [add_weight_norm_(nn.Linear(before, after)), nn.ReLU(), GaussianNoise(0.5)]
    noise = trunk.pop()  # feature matching uses the features without noise
    return Discriminator(trunk, [noise, *head(widths[-1], classes, kernels)])


def head(width: int, classes: int, kernels: int, **settings: Any) -> list[nn.Module]:
    """Return minibatch discrimination, if it has kernels, and the linear layer of the logits."""
    closeness = [MinibatchDiscrimination(width, kernels)] if kernels else []
    linear = add_weight_norm_(nn.Linear(width + kernels, classes), gain=1.0, **settings)
    return [*closeness, linear]


def conv_generator(
    image_size: int, image_channels: int, latent_dim: int, width: int, reference: int = 0
) -> nn.Sequential:
    """Latents (N, Z) -> images (N, C, H, W) in [-1, 1].

    A linear layer and 5x5 transposed convolutions that double the size. Batch norm without a gain
    and ReLU follow all of them except the last.

    Args:
        image_size: Height and width of the images; see zoo.networks.dcgan.stages.
        image_channels: Channels of the images.
        latent_dim: Z.
        width: Channels of the smallest maps, 4x4 for 32x32; 512 in the authors' code.
        reference: Size of the reference batch of virtual batch norm; 0 for batch norm.
    """
    start, count = stages(image_size)
    channels = [max(1, width // 2**stage) for stage in range(count)]
    layers: list[Any] = [nn.Linear(latent_dim, width * start**2, bias=False)]
    layers += [batch_norm(width * start**2, reference=reference), nn.ReLU()]
    layers += [nn.Unflatten(1, (width, start, start))]
    up: dict[str, Any] = {"kernel_size": 5, "stride": 2, "padding": 2, "output_padding": 1}
    for before, after in pairwise(channels):
        layers += [nn.ConvTranspose2d(before, after, bias=False, **up)]
        layers += [batch_norm(after, maps=True, reference=reference), nn.ReLU()]
    for layer in layers:
        if getattr(layer, "weight", None) is not None:
            nn.init.normal_(layer.weight, std=CONV_DIRECTION_STD)
    last = add_weight_norm_(
        nn.ConvTranspose2d(channels[-1], image_channels, **up),
        gain=1.0,
        output_std=0.1,
        dim=1,
        direction_std=CONV_DIRECTION_STD,
    )
    return nn.Sequential(*layers, last, nn.Tanh())


def conv_discriminator(
    image_size: int, image_channels: int, classes: int, width: int, kernels: int = 0
) -> Discriminator:
    """Images (N, C, H, W) -> logits (N, K) and features (N, F), means of the last maps.

    Three 3x3 convolutions have `width` channels, and three have twice as many. The last of each
    three has stride 2. One 3x3 convolution without padding and two 1x1 convolutions follow. Dropout
    precedes each group. For images of 8x8 or less, all 3x3 convolutions are padded.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        classes: K.
        width: Channels of the first group; in the authors' code 96 for CIFAR-10, 64 for SVHN.
        kernels: Kernels of minibatch discrimination; 0 for none.
    """
    narrow, wide = width, 2 * width
    padding = 0 if image_size > 8 else 1
    trunk: list[nn.Module] = [Dropout(0.2)]
    for before, after in ((image_channels, narrow), (narrow, wide)):
        trunk += conv(before, after, padding=1) + conv(after, after, padding=1)
        trunk += [*conv(after, after, padding=1, stride=2), Dropout(0.5)]
    trunk += conv(wide, wide, padding=padding) + conv(wide, wide, size=1) + conv(wide, wide, size=1)
    trunk += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    settings = {"output_std": 0.1, "direction_std": CONV_DIRECTION_STD}
    return Discriminator(trunk, head(wide, classes, kernels, **settings))


def conv(before: int, after: int, size: int = 3, **settings: Any) -> list[nn.Module]:
    """Return a convolution with weight norm, and leaky ReLU."""
    layer = nn.Conv2d(before, after, size, **settings)
    return [add_weight_norm_(layer, direction_std=CONV_DIRECTION_STD), nn.LeakyReLU(0.2)]


GENERATORS: dict[str, Callable[..., nn.Sequential]] = {"mlp": mlp_generator, "conv": conv_generator}
DISCRIMINATORS: dict[str, Callable[..., Discriminator]] = {
    "mlp": mlp_discriminator,
    "conv": conv_discriminator,
}
