"""DCGAN's networks without batch norm, on which losses differ (zoo/networks/dcgan.py)."""

from zoo.networks import dcgan


def generator(image_size, image_channels, latent_dim, width):
    """(N, Z) -> (N, C, H, W) in [-1, 1]; the layer before the image has `width` channels."""
    return dcgan.generator(image_size, image_channels, latent_dim, width, norm=False)


def discriminator(image_size, image_channels, width, norm=False):
    """(N, C, H, W) -> (N,) logits; `norm` changes nothing, there is none to leave out."""
    return dcgan.discriminator(image_size, image_channels, width, norm=False)
