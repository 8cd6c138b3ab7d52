"""The gated resnets of PixelCNN++ (Salimans et al. 2017, arXiv 1701.05517), and their steps.

Two streams, so that there is no blind spot: `above` sees the rows above a pixel, `left` also what
is on its left in its own row, and what `above` has seen. Kernels reach up, or up and to the left,
so that nothing has to be masked.
"""

import torch
from torch import nn
from torch.nn.functional import conv2d, elu, glu, pad

from zoo.networks.dropout import Dropout
from zoo.networks.weight_norm import NormedConv


def concat_elu(maps, dim=1):
    """elu of the maps and of their negatives, twice as many."""
    return elu(torch.cat([maps, -maps], dim))


def above_conv(inputs, outputs, **condition):
    """Of a row and the one above it: down-shifted."""
    return NormedConv(inputs, outputs, (2, 3), (1, 1, 1, 0), **condition)


def left_conv(inputs, outputs, **condition):
    """Of a pixel, those above it and on its left: down-right-shifted."""
    return NormedConv(inputs, outputs, (2, 2), (1, 0, 1, 0), **condition)


class GatedResNet(nn.Module):
    """x + a sigmoid(b) of maps x (N, width, H, W) and, by a short cut, of `aids` times as many."""

    def __init__(self, conv, width, aids, condition, dropout):
        super().__init__()
        self.first = conv(2 * width, width)
        self.short_cut = NormedConv(2 * aids * width, width) if aids else None
        self.dropout = Dropout(dropout)
        self.second = conv(2 * width, 2 * width, scale=0.1)
        self.condition = nn.Conv2d(condition, 2 * width, 1, bias=False) if condition else None
        if condition:
            nn.init.normal_(self.condition.weight, std=0.05)

    def forward(self, maps, aid=None, condition=None):
        hidden = self.first(concat_elu(maps))
        if aid is not None:
            hidden = hidden + self.short_cut(concat_elu(aid))
        output = self.second(self.dropout(concat_elu(hidden)))
        if condition is not None:
            output = output + self.condition(condition)
        return maps + glu(output, dim=1)


class Layer(nn.Module):
    """A gated resnet of each stream; cut: with short cuts from maps of both that were kept."""

    def __init__(self, width, cut, condition, dropout):
        super().__init__()
        self.above = GatedResNet(above_conv, width, int(cut), condition, dropout)
        self.left = GatedResNet(left_conv, width, 1 + cut, condition, dropout)

    def forward(self, above, left, kept=None, condition=None):
        kept_above, kept_left = kept or (None, None)
        above = self.above(above, kept_above, condition)
        aid = above if kept is None else torch.cat([above, kept_left], dim=1)
        return above, self.left(left, aid, condition)


class RowConv:
    """A convolution of `above`, one row (N, F, 1, W) after the other."""

    def __init__(self, conv):
        self.conv, self.weight = conv, conv.weight
        self.before = None  # the row above the next one

    def __call__(self, row):
        before = torch.zeros_like(row) if self.before is None else self.before
        rows = pad(torch.cat([before, row], dim=2), self.conv.margin[:2])
        self.before = row
        return conv2d(rows, self.weight, self.conv.b, self.conv.stride)


class PixelConv:
    """A convolution of `left`, one pixel (F, N) after the other.

    Maps of a row are (W, F, N): a window on them is one matrix (2 F, N), no copy.
    """

    def __init__(self, conv, width, count):
        self.above, self.own = (taps.transpose(1, 2).flatten(1) for taps in conv.weight.unbind(2))
        self.bias, self.stride = conv.b[:, None], conv.stride
        self.maps = conv.b.new_zeros(width + 1, conv.v.shape[1], count)  # of the newest row
        self.terms = None  # (W, F, N): what is known of a row's outputs before its first pixel

    def row(self, more=0.0):
        """To be called before a row: what was the newest is now the one above."""
        windows = torch.cat([self.maps[:-1], self.maps[1:]], dim=1)[:: self.stride]
        self.terms = self.above @ windows + self.bias + more

    def see(self, c, maps):
        self.maps[c + 1] = maps

    def __call__(self, c):
        """The output at pixel c, which was seen, of a row."""
        window = self.maps[c : c + 2].flatten(0, 1)
        return torch.addmm(self.terms[c // self.stride], self.own, window)


class LayerSteps:
    """A layer row by row of `above`, and pixel by pixel of `left`, each computed once."""

    def __init__(self, layer, width, count, condition):
        above, left = self.above, self.left = layer.above, layer.left
        self.above_convs = RowConv(above.first), RowConv(above.second)
        self.left_convs = [PixelConv(conv, width, count) for conv in (left.first, left.second)]
        aids = left.short_cut.weight.flatten(1).unflatten(1, (2, -1, len(left.first.b)))
        self.of_above, self.of_kept = aids[:, :, 0].flatten(1), aids[:, :, 1:].flatten(1)
        self.for_above = self.for_left = 0.0
        if condition is not None:
            self.for_above = above.condition(condition)
            self.for_left = left.condition(condition)[:, :, 0, 0].T

    def row(self, above, kept=None):
        """The next row (N, F, 1, W) of `above`; then those pixels of `left` may come."""
        first, second = self.above_convs
        hidden = first(concat_elu(above))
        if kept is not None:
            hidden = hidden + self.above.short_cut(concat_elu(kept))
        above = above + glu(second(concat_elu(hidden)) + self.for_above, dim=1)
        first, second = self.left_convs
        aid = concat_elu(above)[:, :, 0].permute(2, 1, 0)  # (W, 2 F, N)
        first.row(self.of_above @ aid + self.left.short_cut.b[:, None])
        second.row(self.for_left)
        return above

    def pixel(self, c, left, kept=None):
        """Pixel c (F, N) of `left` in that row."""
        first, second = self.left_convs
        first.see(c, concat_elu(left, 0))
        hidden = first(c)
        if kept is not None:
            hidden = torch.addmm(hidden, self.of_kept, concat_elu(kept, 0))
        second.see(c, concat_elu(hidden, 0))
        return left + glu(second(c), dim=0)
