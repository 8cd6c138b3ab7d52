"""The generator and the discriminator of Reed et al. 2016 (arXiv 1605.05396), as the authors' code.

As in DCGAN, maps are halved from `image_size` to the size of the smallest maps.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from zoo.networks.dcgan import init_weights_, stages
from zoo.networks.dense_conv import ConvTo1x1, ConvTransposeFrom1x1


class Residual(nn.Module):
    """(N, C, H, W) -> (N, C, H, W): a bottleneck with a quarter of the channels, and a shortcut.

    Args:
        channels: C.
        activation: Activation in the bottleneck and after the sum.
    """

    def __init__(self, channels: int, activation: nn.Module):
        super().__init__()
        inner = max(channels // 4, 1)
        self.layers = nn.Sequential(
            *conv_block(nn.Conv2d(channels, inner, 1, bias=False), activation),
            *conv_block(nn.Conv2d(inner, inner, 3, padding=1, bias=False), activation),
            nn.Conv2d(inner, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.activation = activation

    def forward(self, maps: Tensor) -> Tensor:
        return self.activation(maps + self.layers(maps))


class Generator(nn.Module):
    """Latents (N, Z) and text embeddings (N, F) -> images (N, C, H, W) in [-1, 1].

    The two smallest sizes have residual blocks.

    Args:
        image_size: Height and width of the images; see zoo.networks.dcgan.stages.
        image_channels: C.
        latent_dim: Z.
        embedding_dim: F.
        projection_dim: Size to which the embedding is projected.
        width: Channels of the last hidden layer.
    """

    def __init__(
        self,
        image_size: int,
        image_channels: int,
        latent_dim: int,
        embedding_dim: int,
        projection_dim: int,
        width: int,
    ):
        super().__init__()
        start, count = stages(image_size)
        channels = [width * 2**stage for stage in reversed(range(count))]
        relu = nn.ReLU()
        self.text = nn.Sequential(nn.Linear(embedding_dim, projection_dim), nn.LeakyReLU(0.2))
        inputs = latent_dim + projection_dim
        layers: list[nn.Module] = [nn.Unflatten(1, (inputs, 1, 1))]
        layers += conv_block(ConvTransposeFrom1x1(inputs, channels[0], start), None)
        layers += [Residual(channels[0], relu)]
        for stage, (before, after) in enumerate(pairwise(channels)):
            conv = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)
            if stage == 0:
                layers += [*conv_block(conv, None), Residual(after, relu)]
            else:
                layers += conv_block(conv, relu)
        layers += [nn.ConvTranspose2d(width, image_channels, 4, stride=2, padding=1, bias=False)]
        self.image = nn.Sequential(*layers, nn.Tanh()).apply(init_weights_)

    def forward(self, latent: Tensor, embedding: Tensor) -> Tensor:
        return self.image(torch.cat([latent, self.text(embedding)], dim=1))


class Discriminator(nn.Module):
    """Images (N, C, H, W) and text embeddings (N, F) -> logits (N,).

    The embedding is concatenated with the image's features at the smallest size.

    Args:
        image_size: Height and width of the images; see zoo.networks.dcgan.stages.
        image_channels: C.
        embedding_dim: F.
        projection_dim: Size to which the embedding is projected.
        width: Channels of the first layer.
    """

    def __init__(
        self,
        image_size: int,
        image_channels: int,
        embedding_dim: int,
        projection_dim: int,
        width: int,
    ):
        super().__init__()
        start, count = stages(image_size)
        channels = [width * 2**stage for stage in range(count)]
        top, leaky = channels[-1], nn.LeakyReLU(0.2)
        layers: list[nn.Module] = [
            nn.Conv2d(image_channels, width, 4, stride=2, padding=1, bias=False),
            leaky,
        ]
        for before, after in pairwise(channels):
            conv = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False)
            layers += conv_block(conv, None if after == top else leaky)
        self.image = nn.Sequential(*layers, Residual(top, leaky)).apply(init_weights_)
        self.text = nn.Sequential(
            nn.Linear(embedding_dim, projection_dim), nn.BatchNorm1d(projection_dim), leaky
        )
        joint = nn.Conv2d(top + projection_dim, top, 1, bias=False)
        logit = ConvTo1x1(top, 1, start)
        both = nn.Sequential(*conv_block(joint, leaky), logit, nn.Flatten(0))
        self.both = both.apply(init_weights_)

    def forward(self, images: Tensor, embedding: Tensor) -> Tensor:
        maps = self.image(images)  # (N, F', start, start)
        text = self.text(embedding)[:, :, None, None].expand(-1, -1, *maps.shape[2:])
        return self.both(torch.cat([maps, text], dim=1))  # (N,)


def conv_block(
    conv: nn.Conv2d | nn.ConvTranspose2d, activation: nn.Module | None
) -> list[nn.Module]:
    """Return a convolution, batch norm and, if it is not None, an activation."""
    return [conv, nn.BatchNorm2d(conv.out_channels), *([activation] if activation else [])]
