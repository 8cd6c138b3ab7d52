"""Residual networks (Gulrajani et al. 2017, arXiv 1704.00028; Miyato et al. 2018, 1802.05957).

With `classes`, the generator has conditional batch norm and the discriminator a projection of the
label (Miyato, Koyama 2018, arXiv 1802.05637). Both then need labels (N,) int64.

The residual is the first term of each sum, because a sum takes the memory layout of its first term.
3x3 convolutions keep the channels-last layout. For 1x1 convolutions the layout is ambiguous.
"""

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from zoo.networks.dcgan import stages


def generator(
    image_size: int, image_channels: int, latent_dim: int, width: int, classes: int = 0
) -> nn.Module:
    """Latents (N, Z) and, with classes, labels (N,) -> images (N, C, H, W) in [-1, 1].

    Args:
        image_size: Height and width of the images; see zoo.networks.dcgan.stages.
        image_channels: Channels of the images.
        latent_dim: Z.
        width: Channels of all hidden layers.
        classes: Number of classes; 0 for an unconditional generator.
    """
    return Generator(image_size, image_channels, latent_dim, width, classes)


def discriminator(
    image_size: int, image_channels: int, width: int, norm: bool = False, classes: int = 0
) -> nn.Module:
    """Images (N, C, H, W) and, with classes, labels (N,) -> logits (N,).

    Args:
        image_size: Height and width of the images; see zoo.networks.dcgan.stages.
        image_channels: Channels of the images.
        width: Channels of all hidden layers.
        norm: Whether the blocks have batch norm, which neither paper uses.
        classes: Number of classes; 0 for an unconditional discriminator.
    """
    return Discriminator(image_size, image_channels, width, norm, classes)


class Generator(nn.Module):
    """A linear layer, one block for each doubling of the size, and a convolution.

    The arguments are those of `generator`.
    """

    def __init__(
        self, image_size: int, image_channels: int, latent_dim: int, width: int, classes: int
    ):
        super().__init__()
        start, count = stages(image_size)
        self.shape = (width, start, start)
        self.linear = nn.Linear(latent_dim, width * start**2)
        self.blocks = nn.ModuleList(UpBlock(width, classes) for _ in range(count))
        self.norm = nn.BatchNorm2d(width)
        self.last = nn.Conv2d(width, image_channels, 3, padding=1)
        init_weights_(self)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        maps = self.linear(latent).unflatten(1, self.shape)  # (N, F, start, start)
        for block in self.blocks:
            maps = block(maps, label)
        return self.last(relu(self.norm(maps))).tanh()  # (N, C, H, W)


class Discriminator(nn.Module):
    """Blocks that halve the size, two blocks that keep it, a sum over pixels, a linear layer.

    The first block has no activation before its first convolution. As in the papers, 32x32 is
    halved twice. The arguments are those of `discriminator`.
    """

    def __init__(self, image_size: int, image_channels: int, width: int, norm: bool, classes: int):
        super().__init__()
        halvings = max(2, stages(image_size)[1] - 1)
        downs = [Block(width, width, norm, down=True) for _ in range(halvings - 1)]
        plain = [Block(width, width, norm) for _ in range(2)]
        first = Block(image_channels, width, norm=False, down=True, first=True)
        self.blocks = nn.Sequential(first, *downs, *plain)
        self.relu = nn.ReLU()
        self.linear = nn.Linear(width, 1)
        self.embedding = nn.Embedding(classes, width) if classes else None
        init_weights_(self)

    def forward(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        features = self.relu(self.blocks(images)).sum(dim=(2, 3))  # (N, F)
        logit = self.linear(features).squeeze(1)  # (N,)
        if self.embedding is None:
            return logit
        return logit + (self.embedding(label) * features).sum(dim=1)


class UpBlock(nn.Module):
    """(N, F, H, W) -> (N, F, 2H, 2W), with nearest-neighbor upsampling before the convolutions.

    Args:
        width: F.
        classes: Number of classes of the conditional batch norm; 0 for plain batch norm.
    """

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.conditional = classes > 0
        self.norm1, self.norm2 = (
            ConditionalBatchNorm(width, classes) if classes else nn.BatchNorm2d(width)
            for _ in range(2)
        )
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(width, width, 1)

    def forward(self, maps: Tensor, label: Tensor | None = None) -> Tensor:
        labels = (label,) if self.conditional else ()  # plain batch norm takes no labels
        residual = self.conv1(interpolate(relu(self.norm1(maps, *labels)), scale_factor=2))
        residual = self.conv2(relu(self.norm2(residual, *labels)))  # (N, F, 2H, 2W)
        return residual + self.shortcut(interpolate(maps, scale_factor=2))


class Block(nn.Module):
    """(N, F, H, W) -> (N, F', H, W), or (N, F', H/2, W/2) with `down`.

    Args:
        before: F. Without `down` it must equal F'.
        after: F'.
        norm: Whether batch norm comes before each activation.
        down: Whether the block halves the maps.
        first: Whether the block has no first ReLU, because its input is the image.
    """

    def __init__(
        self, before: int, after: int, norm: bool, down: bool = False, first: bool = False
    ):
        super().__init__()
        self.first, self.down = first, down
        self.norm1 = nn.BatchNorm2d(before) if norm else nn.Identity()
        self.norm2 = nn.BatchNorm2d(after) if norm else nn.Identity()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if down else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        residual = maps if self.first else self.relu(self.norm1(maps))
        residual = self.conv2(self.relu(self.norm2(self.conv1(residual))))  # (N, F', H, W)
        if not self.down:
            return maps + residual
        return avg_pool2d(residual, 2) + self.shortcut(avg_pool2d(maps, 2))  # (N, F', H/2, W/2)


class ConditionalBatchNorm(nn.Module):
    """Batch norm with a gain and a bias for each class (Dumoulin et al. 2017, arXiv 1610.07629).

    Args:
        width: F, channels of the maps (N, F, H, W).
        classes: Number of classes.
    """

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(width, affine=False)
        self.gain, self.bias = nn.Embedding(classes, width), nn.Embedding(classes, width)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, maps: Tensor, label: Tensor) -> Tensor:
        gain, bias = self.gain(label)[:, :, None, None], self.bias(label)[:, :, None, None]
        return gain * self.norm(maps) + bias


def init_weights_(network: nn.Module) -> None:
    """Set weights to Glorot's uniform, with a gain of √2 in residual branches, and biases to 0."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            inside = name.endswith(("conv1", "conv2"))
            nn.init.xavier_uniform_(module.weight, gain=2**0.5 if inside else 1.0)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
