"""The gated resnets of PixelCNN++ (Salimans et al. 2017, arXiv 1701.05517), and their steps.

Two streams avoid a blind spot. `above` processes the rows above a pixel. `left` also processes the
pixels on its left in the same row, and the stream `above`. Kernels extend up, or up and to the
left, so no masks are needed.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, elu, glu, pad

from zoo.networks.dropout import Dropout
from zoo.networks.weight_norm import NormedConv


def concat_elu(maps: Tensor, dim: int = 1) -> Tensor:
    """Return elu of the maps and of their negatives, concatenated along dim."""
    return elu(torch.cat([maps, -maps], dim))


def above_conv(inputs: int, outputs: int, **settings: Any) -> NormedConv:
    """Return a down-shifted convolution, of a row and the row above it."""
    return NormedConv(inputs, outputs, (2, 3), (1, 1, 1, 0), **settings)


def left_conv(inputs: int, outputs: int, **settings: Any) -> NormedConv:
    """Return a down-right-shifted convolution, of a pixel and those above and on its left."""
    return NormedConv(inputs, outputs, (2, 2), (1, 0, 1, 0), **settings)


class GatedResNet(nn.Module):
    """x + a sigmoid(b), where a and b depend on maps x (N, F, H, W) and on a skip connection.

    Args:
        conv: above_conv or left_conv.
        width: F.
        skip_maps: The skip connection has skip_maps * F channels; 0 for none.
        condition: Channels of the condition; 0 for none.
        dropout: Probability of dropout.
    """

    def __init__(
        self,
        conv: Callable[..., NormedConv],
        width: int,
        skip_maps: int,
        condition: int,
        dropout: float,
    ):
        super().__init__()
        self.first = conv(2 * width, width)
        self.short_cut = NormedConv(2 * skip_maps * width, width) if skip_maps else None
        self.dropout = Dropout(dropout)
        self.second = conv(2 * width, 2 * width, scale=0.1)
        self.condition = nn.Conv2d(condition, 2 * width, 1, bias=False) if condition else None
        if self.condition is not None:
            nn.init.normal_(self.condition.weight, std=0.05)

    def forward(
        self, maps: Tensor, skip: Tensor | None = None, condition: Tensor | None = None
    ) -> Tensor:
        hidden = self.first(concat_elu(maps))  # (N, F, H, W)
        if skip is not None and self.short_cut is not None:
            hidden = hidden + self.short_cut(concat_elu(skip))
        output = self.second(self.dropout(concat_elu(hidden)))
        if condition is not None and self.condition is not None:
            output = output + self.condition(condition)
        return maps + glu(output, dim=1)


class Layer(nn.Module):
    """A gated resnet of each stream.

    Args:
        width: Channels of both streams.
        has_skips: Whether there are skip connections from earlier maps of both streams.
        condition: Channels of the condition; 0 for none.
        dropout: Probability of dropout.
    """

    def __init__(self, width: int, has_skips: bool, condition: int, dropout: float):
        super().__init__()
        self.above = GatedResNet(above_conv, width, int(has_skips), condition, dropout)
        self.left = GatedResNet(left_conv, width, 1 + has_skips, condition, dropout)

    def forward(
        self,
        above: Tensor,
        left: Tensor,
        skips: tuple[Tensor, Tensor] | None = None,
        condition: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        skip_above, skip_left = skips or (None, None)
        above = self.above(above, skip_above, condition)
        skip = above if skip_left is None else torch.cat([above, skip_left], dim=1)
        return above, self.left(left, skip, condition)


class RowConv:
    """Compute a convolution of `above` row by row.

    Args:
        conv: An above_conv.
    """

    def __init__(self, conv: NormedConv):
        self.conv, self.weight = conv, conv.weight
        self.before: Tensor | None = None  # the row above the next one

    def __call__(self, row: Tensor) -> Tensor:
        """Return the output at the next row (N, F, 1, W)."""
        before = torch.zeros_like(row) if self.before is None else self.before
        rows = pad(torch.cat([before, row], dim=2), self.conv.margin[:2])
        self.before = row
        return conv2d(rows, self.weight, self.conv.b, self.conv.stride)


class PixelConv:
    """Compute a convolution of `left` pixel by pixel.

    Maps of a row are (W, F, N), so that a window is a matrix (2 F, N) without a copy.

    Args:
        conv: A left_conv.
        width: W.
        count: N.
    """

    def __init__(self, conv: NormedConv, width: int, count: int):
        self.above, self.own = (taps.transpose(1, 2).flatten(1) for taps in conv.weight.unbind(2))
        self.bias, self.stride = conv.b[:, None], conv.stride
        self.maps = conv.b.new_zeros(width + 1, conv.v.shape[1], count)  # of the newest row
        self.terms: Any = None  # (W, F, N), the row's terms before its first pixel

    def row(self, more: Tensor | float = 0.0) -> None:
        """Start a row. The previous row becomes the row above.

        Args:
            more: Terms (W, F, N) or (F, N) that are added to the row's outputs.
        """
        windows = torch.cat([self.maps[:-1], self.maps[1:]], dim=1)[:: self.stride]
        self.terms = self.above @ windows + self.bias + more

    def see(self, c: int, maps: Tensor) -> None:
        """Store the input (F, N) at pixel c."""
        self.maps[c + 1] = maps

    def __call__(self, c: int) -> Tensor:
        """Return the output at pixel c, whose input is stored."""
        window = self.maps[c : c + 2].flatten(0, 1)
        return torch.addmm(self.terms[c // self.stride], self.own, window)


class LayerSteps:
    """Compute a layer: `above` row by row, and `left` pixel by pixel.

    Args:
        layer: A Layer.
        width: W.
        count: N.
        condition: (N, G, 1, 1) or None.
    """

    def __init__(self, layer: Any, width: int, count: int, condition: Tensor | None):
        above, left = self.above, self.left = layer.above, layer.left
        self.above_convs = RowConv(above.first), RowConv(above.second)
        self.left_convs = [PixelConv(conv, width, count) for conv in (left.first, left.second)]
        weight = left.short_cut.weight.flatten(1).unflatten(1, (2, -1, len(left.first.b)))
        self.above_weight = weight[:, :, 0].flatten(1)
        self.skip_weight = weight[:, :, 1:].flatten(1)
        self.above_condition: Tensor | float = 0.0
        self.left_condition: Tensor | float = 0.0
        if condition is not None:
            self.above_condition = above.condition(condition)
            self.left_condition = left.condition(condition)[:, :, 0, 0].T

    def row(self, above: Tensor, skip: Tensor | None = None) -> Tensor:
        """Return the next row (N, F, 1, W) of `above`; the pixels of `left` come after it."""
        first, second = self.above_convs
        hidden = first(concat_elu(above))
        if skip is not None:
            hidden = hidden + self.above.short_cut(concat_elu(skip))
        above = above + glu(second(concat_elu(hidden)) + self.above_condition, dim=1)
        left_first, left_second = self.left_convs
        maps = concat_elu(above)[:, :, 0].permute(2, 1, 0)  # (W, 2 F, N)
        left_first.row(self.above_weight @ maps + self.left.short_cut.b[:, None])
        left_second.row(self.left_condition)
        return above

    def pixel(self, c: int, left: Tensor, skip: Tensor | None = None) -> Tensor:
        """Return pixel c (F, N) of `left` in that row."""
        first, second = self.left_convs
        first.see(c, concat_elu(left, 0))
        hidden = first(c)
        if skip is not None:
            hidden = torch.addmm(hidden, self.skip_weight, concat_elu(skip, 0))
        second.see(c, concat_elu(hidden, 0))
        return left + glu(second(c), dim=0)
