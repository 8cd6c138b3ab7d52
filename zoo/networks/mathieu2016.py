"""The networks of Mathieu et al. 2016 (arXiv 1611.03383), after the authors' model_small.lua.

Theirs pad each image to 32x32, which is halved three times, to 4x4; ours are halved as DCGAN's are,
without padding, and have no convolutions at the full size, which would take half of the time.
`width` is the number of channels of encoder and decoder at half the size, 32 in theirs.
"""

from itertools import pairwise

from torch import nn
from torch.nn.functional import interpolate, leaky_relu

from zoo.networks.dcgan import stages


class Encoder(nn.Module):
    """(N, C, H, W) -> identities (N, S), and means and log variances (N, Z) of the rest."""

    def __init__(self, image_size, image_channels, width, identity_dim, latent_dim):
        super().__init__()
        start, count = stages(image_size)
        channels = [width * 2**stage for stage in range(count)]
        halvings = [
            block(nn.Conv2d(before, after, 4, stride=2, padding=1))
            for before, after in pairwise([image_channels, *channels])
        ]
        self.maps = nn.Sequential(*halvings, nn.Flatten())
        features = channels[-1] * start**2
        self.identity = nn.Linear(features, identity_dim)
        self.latent = nn.Linear(features, 2 * latent_dim)

    def forward(self, images):
        features = self.maps(images)
        return self.identity(features), *self.latent(features).chunk(2, dim=1)


class Decoder(nn.Module):
    """Identities (N, S) and latents (N, Z) -> (N, C, H, W) in [-1, 1]: they meet in a sum."""

    def __init__(self, image_size, image_channels, width, identity_dim, latent_dim):
        super().__init__()
        start, count = stages(image_size)
        channels = [width * 2**stage for stage in reversed(range(count))]
        features = channels[0] * start**2
        self.identity = nn.Linear(identity_dim, features)
        self.latent = nn.Linear(latent_dim, features)
        doublings = [
            block(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1))
            for before, after in pairwise(channels)
        ]
        last = nn.ConvTranspose2d(width, image_channels, 4, stride=2, padding=1)
        unflatten = nn.Unflatten(1, (channels[0], start, start))
        self.image = nn.Sequential(unflatten, *doublings, last, nn.Tanh())

    def forward(self, identity, latent):
        return self.image(self.identity(identity) + self.latent(latent))


class Discriminator(nn.Module):
    """(N, C, H, W) and labels (N,) -> (N,) logits.

    At each size, a map of the label is added: looked up as one of the last size, and enlarged. It
    has half as many channels as the encoder.
    """

    def __init__(self, image_size, image_channels, width, classes):
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

    def forward(self, images, label):
        features = images
        for conv, maps, norm in zip(self.convs, self.maps, self.norms, strict=True):
            features = conv(features)
            of_label = maps(label).unflatten(1, (-1, self.start, self.start))
            enlarged = interpolate(of_label, scale_factor=features.shape[-1] // self.start)
            features = leaky_relu(norm(features + enlarged), 0.2)
        return self.logit(features.flatten(1)).squeeze(1)


def block(conv):
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True))
