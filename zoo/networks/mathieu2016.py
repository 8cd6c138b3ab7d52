"""The networks of Mathieu et al. 2016 (arXiv 1611.03383), after the authors' model_small.lua.

The authors' networks pad each image to 32x32 and halve it three times, to 4x4. These networks halve
the size as DCGAN's do, without padding. They have no convolutions at full size, which would take
half of the time. `width` is the number of channels of the encoder and the decoder at half the size.
The authors use 32.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from zoo.networks.dcgan import stages


class Encoder(nn.Module):
    """Images (N, C, H, W) -> identities (N, S), and means and log variances (N, Z) of the rest.

    Args:
        image_size: Height and width of the images; see zoo.networks.dcgan.stages.
        image_channels: Channels of the images.
        width: Channels of the first layer.
        identity_dim: S.
        latent_dim: Z.
    """

    def __init__(
        self, image_size: int, image_channels: int, width: int, identity_dim: int, latent_dim: int
    ):
        super().__init__()
        start, count = stages(image_size)
        channels = [width * 2**stage for stage in range(count)]
        halvings = [
            conv_block(nn.Conv2d(before, after, 4, stride=2, padding=1))
            for before, after in pairwise([image_channels, *channels])
        ]
        self.maps = nn.Sequential(*halvings, nn.Flatten())
        features = channels[-1] * start**2
        self.identity = nn.Linear(features, identity_dim)
        self.latent = nn.Linear(features, 2 * latent_dim)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.maps(images)  # (N, F)
        mean, logvar = self.latent(features).chunk(2, dim=1)
        return self.identity(features), mean, logvar


class Decoder(nn.Module):
    """Identities (N, S) and latents (N, Z) -> images (N, C, H, W) in [-1, 1].

    Both are mapped to features of the same size and added.

    Args:
        image_size: Height and width of the images; see zoo.networks.dcgan.stages.
        image_channels: Channels of the images.
        width: Channels of the last hidden layer.
        identity_dim: S.
        latent_dim: Z.
    """

    def __init__(
        self, image_size: int, image_channels: int, width: int, identity_dim: int, latent_dim: int
    ):
        super().__init__()
        start, count = stages(image_size)
        channels = [width * 2**stage for stage in reversed(range(count))]
        features = channels[0] * start**2
        self.identity = nn.Linear(identity_dim, features)
        self.latent = nn.Linear(latent_dim, features)
        doublings = [
            conv_block(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1))
            for before, after in pairwise(channels)
        ]
        last = nn.ConvTranspose2d(width, image_channels, 4, stride=2, padding=1)
        unflatten = nn.Unflatten(1, (channels[0], start, start))
        self.image = nn.Sequential(unflatten, *doublings, last, nn.Tanh())

    def forward(self, identity: Tensor, latent: Tensor) -> Tensor:
        return self.image(self.identity(identity) + self.latent(latent))


class Discriminator(nn.Module):
    """Images (N, C, H, W) and labels (N,) -> logits (N,).

    At each size, an embedding of the label is added to the features. It has the size of the
    smallest maps and is enlarged. All layers have half of the encoder's channels.

    Args:
        image_size: Height and width of the images; see zoo.networks.dcgan.stages.
        image_channels: Channels of the images.
        width: Twice the channels of the first layer.
        classes: Number of classes.
    """

    def __init__(self, image_size: int, image_channels: int, width: int, classes: int):
        super().__init__()
        start, count = stages(image_size)
        self.start = start
        channels = [max(width // 2, 1) * 2**stage for stage in range(count)]
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1)
            for before, after in pairwise([image_channels, *channels])
        )
        self.maps = nn.ModuleList(nn.Embedding(classes, after * start**2) for after in channels)
        self.norms = nn.ModuleList(nn.BatchNorm2d(after) for after in channels)
        self.logit = nn.Linear(channels[-1] * start**2, 1)

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        features = images
        for conv, maps, norm in zip(self.convs, self.maps, self.norms, strict=True):
            features = conv(features)  # (N, F, H, W)
            label_maps = maps(label).unflatten(1, (-1, self.start, self.start))
            enlarged = interpolate(label_maps, scale_factor=features.shape[-1] // self.start)
            features = leaky_relu(norm(features + enlarged), 0.2)
        return self.logit(features.flatten(1)).squeeze(1)  # (N,)


def conv_block(conv: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """Return a convolution followed by batch norm and ReLU."""
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True))
