"""The network of RealNVP (Dinh, Sohl-Dickstein, Bengio 2017, arXiv 1605.08803): couplings.

Each module maps (N, C, H, W) to values of the same number and to log-determinants (N,) of its
Jacobian, and has the method `inverse`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo.networks.dropout import Dropout
from zoo.networks.multi_scale_flow import MultiScale, Squeeze, apply, invert
from zoo.precision import at_least_float32


class MultiScaleFlow(MultiScale):
    """Couplings at several scales (section 3.6), (N, C, H, W) -> (N, Z).

    Args:
        size: Height and width of the images.
        channels: Channels of the images.
        scales: Number of scales.
        width: Feature maps at the first scale.
        blocks: Residual blocks in each network.
        dropout: Dropout probability.
    """

    def __init__(
        self, size: int, channels: int, scales: int, width: int, blocks: int, dropout: float
    ):
        super().__init__()
        self.squeeze = Squeeze()
        self.checkerboards, self.channelwise = nn.ModuleList(), nn.ModuleList()
        for scale in range(scales):
            last = scale == scales - 1
            grid = torch.arange(size)
            mask = ((grid[:, None] + grid) % 2)[None, None].float()  # (1, 1, H, W)
            network = channels, width, blocks, dropout
            self.checkerboards.append(Couplings(4 if last else 3, mask, *network))
            if not last:
                # 1 for the upper pixels of each 2x2 block, so that neither mask repeats the other.
                mask = torch.tensor([1.0, 0, 1, 0]).repeat_interleave(channels)[:, None, None]
                network = 4 * channels, 2 * width, blocks, dropout
                self.channelwise.append(Couplings(3, mask[None], *network))
                size, channels, width = size // 2, 2 * channels, 2 * width
        self.last_shape = channels, size, size

    def stages(self) -> list[Sequence[Any]]:
        *checkerboards, last = self.checkerboards
        pairs = zip(checkerboards, self.channelwise, strict=True)
        halving = [[checkerboard, self.squeeze, channels] for checkerboard, channels in pairs]
        return [*halving, [last]]


class Couplings(nn.ModuleList):
    """Couplings with alternating masks, (N, C, H, W) -> (N, C, H, W) and log-determinants (N,).

    Args:
        count: Number of couplings.
        mask: 0 and 1, broadcastable to (1, C, H, W).
        channels: C.
        *network: width, blocks and dropout of the networks.
    """

    def __init__(self, count: int, mask: Tensor, channels: int, *network):
        masks = (mask, 1 - mask)
        super().__init__(Coupling(masks[i % 2], channels, *network) for i in range(count))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return apply(self, x)

    def inverse(self, y: Tensor) -> Tensor:
        """Invert the map."""
        return invert(self, y)


class Coupling(nn.Module):
    """y = b x + (1 - b) (x exp(s(b x)) + t(b x)) for a mask b (eq. 9).

    Args:
        mask: b, broadcastable to (1, C, H, W).
        channels: C.
        width: Feature maps of the network that computes s and t.
        blocks: Its residual blocks.
        dropout: Its dropout probability.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, channels: int, width: int, blocks: int, dropout: float):
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        last: Any = nn.Conv2d(width, 2 * channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        residual = [ResidualBlock(width, dropout) for _ in range(blocks)]
        first = nn.Conv2d(channels + 1, width, 3, padding=1)
        self.network = nn.Sequential(first, *residual, nn.ReLU(), last)
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))

    def changes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (1 - b) s(b x) and (1 - b) t(b x), both (N, C, H, W)."""
        mask = self.mask[:, :1].expand(len(x), 1, *x.shape[2:])  # tells hidden values from zeros
        inputs = torch.cat([x * self.mask, mask], dim=1).to(self.scale.dtype)
        log_scale, shift = at_least_float32(self.network(inputs)).chunk(2, dim=1)
        log_scale = at_least_float32(self.scale) * log_scale.tanh()
        return (1 - self.mask) * log_scale, (1 - self.mask) * shift

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self.changes(x)
        return x * log_scale.exp() + shift, log_scale.flatten(1).sum(dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        """Invert the map: b y = b x, so that s and t are the same."""
        log_scale, shift = self.changes(y)
        return (y - shift) * (-log_scale).exp()


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut, (N, F, H, W) -> (N, F, H, W).

    Args:
        width: F.
        dropout: Dropout probability.
    """

    def __init__(self, width: int, dropout: float):
        super().__init__()
        convs = [nn.Conv2d(width, width, 3, padding=1) for _ in range(2)]
        self.layers = nn.Sequential(nn.ReLU(), convs[0], nn.ReLU(), Dropout(dropout), convs[1])

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.layers(maps)
