"""DCGAN's networks (zoo/networks/dcgan.py) without batch norm."""

from torch import nn

from zoo.networks import dcgan


def generator(image_size: int, image_channels: int, latent_dim: int, width: int) -> nn.Sequential:
    """Latents (N, Z) -> images (N, C, H, W) in [-1, 1]; arguments as in dcgan.py."""
    return dcgan.generator(image_size, image_channels, latent_dim, width, norm=False)


def discriminator(
    image_size: int, image_channels: int, width: int, norm: bool = False
) -> nn.Sequential:
    """Images (N, C, H, W) -> logits (N,); arguments as in dcgan.py, but `norm` has no effect."""
    return dcgan.discriminator(image_size, image_channels, width, norm=False)
