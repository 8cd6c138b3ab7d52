"""Residual networks (Gulrajani et al. 2017, arXiv 1704.00028; Miyato et al. 2018, 1802.05957).

With `classes`, the generator has conditional batch norm, and the discriminator a projection of the
label (Miyato, Koyama 2018, arXiv 1802.05637); both then take labels (N,) int64.

The residual is the first term of a sum, which takes its layout from it: 3x3 convolutions with
channels last keep them last, those of 1x1 have no order of their own.
"""

from torch import nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from zoo.networks.dcgan import stages


def generator(image_size, image_channels, latent_dim, width, classes=0):
    """(N, Z) and, with classes, (N,) labels -> (N, C, H, W) in [-1, 1]; `width` channels."""
    return Generator(image_size, image_channels, latent_dim, width, classes)


def discriminator(image_size, image_channels, width, norm=False, classes=0):
    """(N, C, H, W) and, with classes, (N,) labels -> (N,) logits; `width` channels.

    norm: batch norm in its blocks, which neither paper has.
    """
    return Discriminator(image_size, image_channels, width, norm, classes)


class Generator(nn.Module):
    """A linear map, one block for each doubling of the size, and a last convolution."""

    def __init__(self, image_size, image_channels, latent_dim, width, classes):
        super().__init__()
        start, count = stages(image_size)
        self.shape = (width, start, start)
        self.linear = nn.Linear(latent_dim, width * start**2)
        self.blocks = nn.ModuleList(UpBlock(width, classes) for _ in range(count))
        self.norm = nn.BatchNorm2d(width)
        self.last = nn.Conv2d(width, image_channels, 3, padding=1)
        initialize(self)

    def forward(self, latent, label=None):
        maps = self.linear(latent).unflatten(1, self.shape)
        for block in self.blocks:
            maps = block(maps, label)
        return self.last(relu(self.norm(maps))).tanh()


class Discriminator(nn.Module):
    """Blocks that halve the size, two that keep it, a sum over the places, a linear map.

    The first block begins without an activation. 32x32 are halved twice, as in the papers.
    """

    def __init__(self, image_size, image_channels, width, norm, classes):
        super().__init__()
        halvings = max(2, stages(image_size)[1] - 1)
        downs = [Block(width, width, norm, down=True) for _ in range(halvings - 1)]
        plain = [Block(width, width, norm) for _ in range(2)]
        first = Block(image_channels, width, norm=False, down=True, first=True)
        self.blocks = nn.Sequential(first, *downs, *plain)
        self.relu = nn.ReLU()
        self.linear = nn.Linear(width, 1)
        self.embedding = nn.Embedding(classes, width) if classes else None
        initialize(self)

    def forward(self, images, label=None):
        features = self.relu(self.blocks(images)).sum(dim=(2, 3))  # (N, width)
        logit = self.linear(features).squeeze(1)
        if self.embedding is None:
            return logit
        return logit + (self.embedding(label) * features).sum(dim=1)


class UpBlock(nn.Module):
    """(N, F, H, W) -> (N, F, 2H, 2W), nearest neighbours enlarged before the convolutions."""

    def __init__(self, width, classes):
        super().__init__()
        norm = ConditionalBatchNorm if classes else UnconditionalBatchNorm
        self.norm1, self.norm2 = norm(width, classes), norm(width, classes)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(width, width, 1)

    def forward(self, maps, label):
        residual = self.conv1(interpolate(relu(self.norm1(maps, label)), scale_factor=2))
        residual = self.conv2(relu(self.norm2(residual, label)))
        return residual + self.shortcut(interpolate(maps, scale_factor=2))


class Block(nn.Module):
    """(N, F, H, W) -> (N, F', H, W), or half as large; only a `first` block begins without ReLU."""

    def __init__(self, before, after, norm, down=False, first=False):
        super().__init__()
        self.first, self.down = first, down
        self.norm1 = nn.BatchNorm2d(before) if norm else nn.Identity()
        self.norm2 = nn.BatchNorm2d(after) if norm else nn.Identity()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if down else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, maps):
        residual = maps if self.first else self.relu(self.norm1(maps))
        residual = self.conv2(self.relu(self.norm2(self.conv1(residual))))
        if not self.down:
            return maps + residual
        return avg_pool2d(residual, 2) + self.shortcut(avg_pool2d(maps, 2))


class UnconditionalBatchNorm(nn.BatchNorm2d):
    """Batch norm that is given a label, and takes none."""

    def __init__(self, width, classes):
        super().__init__(width)

    def forward(self, maps, label):
        return super().forward(maps)


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose gain and bias are those of the label (Dumoulin et al. 2017, 1610.07629)."""

    def __init__(self, width, classes):
        super().__init__()
        self.norm = nn.BatchNorm2d(width, affine=False)
        self.gain, self.bias = nn.Embedding(classes, width), nn.Embedding(classes, width)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, maps, label):
        gain, bias = self.gain(label)[:, :, None, None], self.bias(label)[:, :, None, None]
        return gain * self.norm(maps) + bias


def initialize(network):
    """Glorot's uniform weights, with a gain of √2 for the convolutions inside residuals."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            inside = name.endswith(("conv1", "conv2"))
            nn.init.xavier_uniform_(module.weight, gain=2**0.5 if inside else 1.0)
            nn.init.zeros_(module.bias)
    return network
