"""InfoGAN's networks for MNIST (Chen et al. 2016, arXiv 1606.03657, table 1 of the appendix).

For 28x28 images and a width of 64 they are the paper's. Sizes with more than two doublings have
more convolutions, with DCGAN's numbers of channels. Layers before batch norm have no bias, because
batch norm has one.
"""

from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from zoo.networks.dcgan import stages

SLOPE = 0.1  # of leaky ReLU; 0.01 in the authors' code


def generator(image_size: int, image_channels: int, latent_dim: int, width: int) -> nn.Sequential:
    """Latents (N, Z) -> images (N, C, H, W) in [-1, 1].

    Args:
        image_size: Height and width of the images; see zoo.networks.dcgan.stages.
        image_channels: Channels of the images.
        latent_dim: Z.
        width: Channels of the last hidden layer.
    """
    start, count = stages(image_size)
    channels = [width * 2**stage for stage in reversed(range(count))]
    sizes = latent_dim, 16 * width, channels[0] * start**2
    layers: list[nn.Module] = []
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
    return nn.Sequential(*layers).apply(init_weights_)


def discriminator(
    image_size: int, image_channels: int, width: int, norm: bool = True
) -> nn.Sequential:
    """Images (N, C, H, W) -> logits (N,).

    Args:
        image_size: Height and width of the images; see zoo.networks.dcgan.stages.
        image_channels: Channels of the images.
        width: Channels of the first layer.
        norm: Whether all hidden layers except the first have batch norm.
    """
    start, count = stages(image_size)
    channels = [width * 2**stage for stage in range(count)]
    features = 16 * width
    layers: list[nn.Module] = [
        nn.Conv2d(image_channels, width, 4, stride=2, padding=1),
        nn.LeakyReLU(SLOPE),
    ]
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
    return nn.Sequential(*layers).apply(init_weights_)


class DiscriminatorWithFeatures(nn.Module):
    """Images (N, C, H, W) -> logits (N,) and features (N, F), the inputs of the last layer.

    Args:
        network: Discriminator whose last two layers are a linear map and nn.Flatten(0).

    Raises:
        ValueError: The network is not an nn.Sequential.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        if not isinstance(network, nn.Sequential):
            raise ValueError(
                "model.network: InfoGAN needs a discriminator that is a torch.nn.Sequential, such "
                "as infogan, dcgan or mlp."
            )
        self.trunk, self.head = network[:-2], network[-2:]
        last: Any = network[-2]
        self.features: int = last.weight[0].numel()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.trunk(images)
        return self.head(maps), maps.flatten(1)


def init_weights_(layer: nn.Module) -> None:
    """Set weights to N(0, 0.02), biases to 0 and gains to N(1, 0.02), as in the authors' code.

    Args:
        layer: Any layer. Use `network.apply(init_weights_)` for a network.
    """
    if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
