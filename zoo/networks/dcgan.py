"""DCGAN's generator and discriminator (Radford, Metz, Chintala 2015, arXiv 1511.06434)."""

from itertools import pairwise

from torch import nn

from zoo.networks.dense_conv import ConvTo1x1, ConvTransposeFrom1x1


def stages(image_size: int) -> tuple[int, int]:
    """Split an image size into start * 2**count, with count at least 2 and start at most 7.

    The paper's 64 is 4 * 2**4, 28 is 7 * 2**2, and 8 is 2 * 2**2.

    Args:
        image_size: Height and width of the images.

    Returns:
        (start, count): the size of the smallest maps, and the number of doublings.

    Raises:
        ValueError: The size is not such a product.
    """
    start, count = image_size, 0
    while start % 2 == 0 and (start > 7 or count < 2):
        start, count = start // 2, count + 1
    if not 2 <= start <= 7 or count < 2:
        sizes = {start * 2**count for start in range(2, 8) for count in range(2, 9)}
        near = sorted(sorted(sizes, key=lambda size: abs(size - image_size))[:3])
        raise ValueError(
            f"DCGAN's networks cannot generate images of size {image_size}: the size must be a "
            "number from 2 to 7, doubled at least twice. Nearest: "
            f"{', '.join(map(str, near))} (data.image_size=..., or model.network=mlp where the "
            "model has it)"
        )
    return start, count


def generator(
    image_size: int, image_channels: int, latent_dim: int, width: int, norm: bool = True
) -> nn.Sequential:
    """Latents (N, Z) -> images (N, C, H, W) in [-1, 1].

    Args:
        image_size: Height and width of the images; see `stages`.
        image_channels: Channels of the images.
        latent_dim: Z.
        width: Channels of the last hidden layer. Each layer before has twice the channels.
        norm: Whether batch norm follows each hidden convolution.
    """
    start, count = stages(image_size)
    channels = [width * 2**stage for stage in reversed(range(count))]
    layers = [
        nn.Unflatten(1, (latent_dim, 1, 1)),
        ConvTransposeFrom1x1(latent_dim, channels[0], start),
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
    return nn.Sequential(*layers).apply(init_weights_)


def discriminator(
    image_size: int, image_channels: int, width: int, norm: bool = True
) -> nn.Sequential:
    """Images (N, C, H, W) -> logits (N,).

    Args:
        image_size: Height and width of the images; see `stages`.
        image_channels: Channels of the images.
        width: Channels of the first layer. Each later layer has twice the channels.
        norm: Whether batch norm follows each hidden convolution but the first.
    """
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
    layers += [ConvTo1x1(channels[-1], 1, start), nn.Flatten(0)]
    return nn.Sequential(*layers).apply(init_weights_)


def init_weights_(layer: nn.Module) -> None:
    """Set convolutions' weights to N(0, 0.02) and batch norm's gains to N(1, 0.02) (section 4).

    Args:
        layer: Any layer. Other layers are not changed. Use `network.apply(init_weights_)`.
    """
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
