"""Encoders of images and decoders of latents, fully connected or convolutional.

"mlp" has two hidden layers of `width` tanh units, as in Burda, Grosse, Salakhutdinov 2016 (arXiv
1509.00519). "conv" has DCGAN's strided convolutions without batch norm. The convolution next to the
image has `width` channels. Both can be conditioned on numbers (N, G), which are concatenated with
the input of the fully connected layers.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from zoo import precision
from zoo.networks.dcgan import stages

NETWORKS = ("mlp", "conv")


def check_network(network: str) -> None:
    """Raise ValueError for a name that is not in NETWORKS."""
    if network not in NETWORKS:
        raise ValueError(f"model.network={network}: choose one of {', '.join(NETWORKS)}.")


class Encoder(nn.Module):
    """Images (N, C, H, W) and conditions (N, G) -> (N, outputs).

    Args:
        network: A name in NETWORKS.
        image_size: Height and width of the images.
        channels: Channels of the images.
        outputs: Size of the output.
        width: Units of the hidden layers, or channels of the first convolution.
        condition: G, the size of the condition; 0 for none.

    Raises:
        ValueError: Unknown network, or an image size that "conv" cannot halve.
    """

    def __init__(
        self,
        network: str,
        image_size: int,
        channels: int,
        outputs: int,
        width: int,
        condition: int = 0,
    ):
        super().__init__()
        check_network(network)
        self.maps: nn.Module = nn.Flatten()
        features = channels * image_size**2
        hidden = [width, width]
        activation: type[nn.Module] = nn.Tanh
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
        self.units = mlp_layers(features + condition, hidden, outputs, activation)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.units(concat_condition(self.maps(images), condition))


class Decoder(nn.Module):
    """Latents (N, Z) and conditions (N, G) -> (N, outputs, H, W), unbounded, in float32.

    Args:
        network: A name in NETWORKS.
        image_size: Height and width of the images.
        outputs: Number of outputs for each pixel.
        latent_dim: Z.
        width: Units of the hidden layers, or channels of the last hidden convolution.
        condition: G, the size of the condition; 0 for none.

    Raises:
        ValueError: Unknown network, or an image size that "conv" cannot generate.
    """

    def __init__(
        self,
        network: str,
        image_size: int,
        outputs: int,
        latent_dim: int,
        width: int,
        condition: int = 0,
    ):
        super().__init__()
        check_network(network)
        shape = outputs, image_size, image_size
        if network == "conv":
            start, count = stages(image_size)
            widths = [width * 2**stage for stage in reversed(range(count))]
            features = widths[0] * start**2
            layers: list[nn.Module] = [nn.Linear(latent_dim + condition, features), nn.ReLU()]
            layers += [nn.Unflatten(1, (widths[0], start, start))]
            for before, after in pairwise(widths):
                layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
            layers += [precision.ConvTranspose2d(widths[-1], outputs, 4, stride=2, padding=1)]
            self.layers = nn.Sequential(*layers)
        else:
            pixels = outputs * image_size**2
            units = mlp_layers(latent_dim + condition, [width, width], pixels, nn.Tanh)
            units[-1] = precision.Linear(width, pixels)
            self.layers = nn.Sequential(units, nn.Unflatten(1, shape))

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(concat_condition(latent, condition))


def mlp_layers(
    inputs: int, hidden: list[int], outputs: int, activation: type[nn.Module]
) -> nn.Sequential:
    """Return fully connected layers with an activation after each but the last.

    Args:
        inputs: Size of the input.
        hidden: Units of each hidden layer.
        outputs: Size of the output.
        activation: Class of the activations.
    """
    widths = [inputs, *hidden]
    layers = [
        layer
        for before, after in pairwise(widths)
        for layer in (nn.Linear(before, after), activation())
    ]
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))


def concat_condition(features: Tensor, condition: Tensor | None) -> Tensor:
    """Concatenate features (N, F) and conditions (N, G), if there are any."""
    return features if condition is None else torch.cat([features, condition], dim=1)
