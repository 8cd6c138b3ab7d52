"""The U-Net of pix2pix (Isola et al. 2017, arXiv 1611.07004, section 6.1.1)."""

import torch
from torch import Tensor, nn

from zoo.networks import dcgan
from zoo.networks.dropout import Dropout


class UNet(nn.Module):
    """Images (N, C', H, H) -> images (N, C, H, H) in [-1, 1].

    The encoder halves the maps as long as the size is even, which is down to 1 for powers of two.
    Layer k has width min(2^k, 8) channels. The decoder doubles them again. The input of each of its
    layers is the output of the previous layer, concatenated with the encoder's maps of that size.

    Batch norm also uses the statistics of the batch in eval mode. The innermost maps have no norm,
    because at 1x1 it would output zeros for a batch of one. Convolutions have a bias only if no
    norm follows: the first, the innermost and the last. The authors' Torch code also has biases
    before norms, where they have no effect. Their PyTorch code has a bias only in the last layer.

    Args:
        image_size: H; must be even.
        source_channels: C'.
        image_channels: C.
        width: Channels of the first layer.
        skips: Whether there are skip connections from the encoder to the decoder.
        dropout: Probability of dropout in the decoder's first three layers.
        test_dropout: Whether dropout is also active in eval mode.

    Raises:
        ValueError: image_size is odd.
    """

    def __init__(
        self,
        image_size: int,
        source_channels: int,
        image_channels: int,
        width: int,
        skips: bool,
        dropout: float,
        test_dropout: bool,
    ):
        super().__init__()
        depth = count_halvings(image_size)
        if not depth:
            raise ValueError(f"A U-Net cannot halve images of size {image_size}: it must be even.")
        self.skips = skips
        channels = [width * min(2**k, 8) for k in range(depth)]
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for k, after in enumerate(channels):
            norm = 0 < k < depth - 1
            before = channels[k - 1] if k else source_channels
            convolution = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=not norm)
            first = [nn.LeakyReLU(0.2)] if k else []
            self.encoder.append(nn.Sequential(*first, convolution, *norm_layers(after, norm)))
        for k in reversed(range(depth)):
            before = channels[k] * (2 if skips and k < depth - 1 else 1)
            after = channels[k - 1] if k else image_channels
            layers = [nn.ReLU(), nn.ConvTranspose2d(before, after, 4, 2, 1, bias=not k)]
            layers += norm_layers(after, k > 0)
            if k and len(self.decoder) < 3:
                layers += [Dropout(dropout, test_dropout)]
            self.decoder.append(nn.Sequential(*layers, *([] if k else [nn.Tanh()])))
        self.apply(init_weights_)

    def forward(self, source: Tensor) -> Tensor:
        maps = [source]
        for layer in self.encoder:
            maps.append(layer(maps[-1]))
        x = maps.pop()  # the innermost maps
        *layers, last = self.decoder
        for layer in layers:
            x = layer(x)
            skipped = maps.pop()  # (N, F, H / 2^k, W / 2^k), as x
            x = torch.cat([x, skipped], dim=1) if self.skips else x
        return last(x)


def count_halvings(size: int) -> int:
    """Return the number of times that a size can be halved: 8 for 256, 2 for 28."""
    return (size & -size).bit_length() - 1


def norm_layers(channels: int, norm: bool) -> list[nn.Module]:
    """Return a list of one batch norm without running statistics, or an empty one."""
    return [nn.BatchNorm2d(channels, track_running_stats=False)] if norm else []


def init_weights_(layer: nn.Module) -> None:
    """Set weights to N(0, 0.02), gains to N(1, 0.02) and biases to 0 (section 6.2).

    Args:
        layer: Any layer. Use `network.apply(init_weights_)` for a network.
    """
    dcgan.init_weights_(layer)
    if isinstance(bias := getattr(layer, "bias", None), Tensor):
        nn.init.zeros_(bias)
