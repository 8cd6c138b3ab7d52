"""The U-Net of pix2pix (Isola et al. 2017, arXiv 1611.07004, section 6.1.1)."""

import torch
from torch import nn

from zoo.networks.dcgan import initialize
from zoo.networks.dropout import Dropout


class UNet(nn.Module):
    """Images (N, C', H, H) -> images (N, C, H, H) in [-1, 1].

    The encoder halves the side as often as it can, 256 times to 1; layer k has min(2^k, 8) width
    channels. The decoder doubles it again, and each of its layers sees the encoder's maps of its
    size beside its own; without `skips` the same layers see the innermost maps alone. At its
    first three layers there is dropout, in eval mode too if `test_dropout`.

    Batch norm, where the paper has it, is by the statistics of the batch, in eval mode too; it has
    no place at the innermost maps, which it would make 0 of a batch of one. Convolutions have a
    bias only if no norm follows: the first, the innermost and the last. The authors' Torch code has
    biases before norms, too, without effect; their PyTorch code has one in the last alone.
    ValueError for an odd side.
    """

    def __init__(
        self, image_size, source_channels, image_channels, width, skips, dropout, test_dropout
    ):
        super().__init__()
        depth = halvings(image_size)
        if not depth:
            raise ValueError(f"A U-Net cannot halve images of size {image_size}: it must be even.")
        self.skips = skips
        channels = [width * min(2**k, 8) for k in range(depth)]
        encoder, decoder = [], []
        for k, after in enumerate(channels):
            norm = 0 < k < depth - 1
            before = channels[k - 1] if k else source_channels
            convolution = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=not norm)
            first = [nn.LeakyReLU(0.2)] if k else []
            encoder += [nn.Sequential(*first, convolution, *normalized(after, norm))]
        for k in reversed(range(depth)):
            before = channels[k] * (2 if skips and k < depth - 1 else 1)
            after = channels[k - 1] if k else image_channels
            layers = [nn.ReLU(), nn.ConvTranspose2d(before, after, 4, 2, 1, bias=not k)]
            layers += normalized(after, k > 0)
            if k and len(decoder) < 3:
                layers += [Dropout(dropout, test_dropout)]
            decoder += [nn.Sequential(*layers, *([] if k else [nn.Tanh()]))]
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)
        initialized(self)

    def forward(self, source):
        maps = [source]
        for layer in self.encoder:
            maps.append(layer(maps[-1]))
        x = maps.pop()
        for layer in self.decoder[:-1]:
            x = layer(x)
            skipped = maps.pop()
            x = torch.cat([x, skipped], dim=1) if self.skips else x
        return self.decoder[-1](x)


def halvings(size):
    """How often a side can be halved: 8 for 256, 2 for 28."""
    return (size & -size).bit_length() - 1


def normalized(channels, norm):
    return [nn.BatchNorm2d(channels, track_running_stats=False)] if norm else []


def initialized(network):
    """Weights from N(0, 0.02), gains from N(1, 0.02), biases 0 (section 6.2)."""
    for module in initialize(network).modules():
        if getattr(module, "bias", None) is not None:
            nn.init.zeros_(module.bias)
    return network
