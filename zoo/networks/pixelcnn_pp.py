"""The network of PixelCNN++ (Salimans et al. 2017, arXiv 1701.05517), figure 2.

Streams of gated resnets are halved and doubled again, with short cuts between layers of one size.
A coarse pixel stands for four, and sees what comes before the first of them.
"""

import torch
from torch import nn
from torch.nn.functional import elu, pad

from zoo.networks.pixelcnn_pp_blocks import (
    Layer,
    LayerSteps,
    PixelConv,
    RowConv,
    above_conv,
    left_conv,
)
from zoo.networks.weight_norm import NormedConv, NormedTransposedConv
from zoo.precision import at_least_float32, without_autocast


class Level(nn.Module):
    """The layers of one size, and in their midst those of the coarser ones, if any.

    Of odd sides, what is doubled has a row or a column too many: it is left out.
    """

    def __init__(self, resolutions, layers, width, condition, dropout):
        super().__init__()
        last, rest = resolutions == 1, (condition, dropout)
        self.down = nn.ModuleList(Layer(width, False, *rest) for _ in range(layers))
        self.up = nn.ModuleList(Layer(width, True, *rest) for _ in range(layers + 1 - last))
        self.coarser = None if last else Level(resolutions - 1, layers, width, *rest)
        if not last:
            self.halve_above = above_conv(width, width, stride=2)
            self.halve_left = left_conv(width, width, stride=2)
            self.double_above = NormedTransposedConv(width, width, columns=3)
            self.double_left = NormedTransposedConv(width, width, columns=2)

    def forward(self, above, left, condition=None):
        kept = [(above, left)]
        for layer in self.down:
            kept.append(layer(*kept[-1], condition=condition))
        if self.coarser is None:
            above, left = kept.pop()
        else:
            above, left = self.of_coarser(*kept[-1], condition)
        for layer in self.up:
            above, left = layer(above, left, kept.pop(), condition)
        return above, left

    def of_coarser(self, above, left, condition):
        height, width = left.shape[-2:]
        above, left = self.coarser(self.halve_above(above), self.halve_left(left), condition)
        above, left = self.double_above(above), self.double_left(left)
        return above[..., :height, :width], left[..., :height, :width]


class TwoStreams(nn.Module):
    """Images (N, C, H, W) in [-1, 1] to (N, outputs, H, W): what is said of each pixel.

    It depends on the pixels above and on the left alone. resolutions: sizes of maps, each half the
    one before; layers: gated resnets of each stream at each size, on the way down and again on the
    way up. given: numbers that the images depend on, passed as (N, given, 1, 1).
    """

    def __init__(self, colours, outputs, width, layers, resolutions, condition=0, dropout=0.0):
        super().__init__()
        self.from_above = above_conv(colours + 1, width)
        self.from_row_above = NormedConv(colours + 1, width, (1, 3), (1, 1, 0, 0))
        self.from_left = NormedConv(colours + 1, width, (2, 1), (0, 0, 1, 0))
        self.level = Level(resolutions, layers, width, condition, dropout)
        self.output = NormedConv(width, outputs)

    def forward(self, images, condition=None):
        seen = with_ones(images)
        above = shifted_down(self.from_above(seen))
        left = shifted_down(self.from_row_above(seen)) + shifted_right(self.from_left(seen))
        _, left = self.level(above, left, condition)
        with without_autocast(left):  # half precision would blur levels
            return self.output(elu(at_least_float32(left)))

    def steps(self, images, condition=None):
        """What draws images (N, C, H, W) in place, see zoo.networks.raster_sampling."""
        return Steps(self, images, condition)


def with_ones(images):
    """One more channel: it tells black pixels from those outside the image."""
    return torch.cat([images, torch.ones_like(images[:, :1])], dim=1)


def shifted_down(maps):
    return pad(maps, (0, 0, 1, -1))


def shifted_right(maps):
    return pad(maps, (1, -1))


class LevelSteps:
    """A level row by row of `above`, and pixel by pixel of `left`.

    Of a coarser level, each row is computed with the first of two, each pixel with the first of
    four.
    """

    def __init__(self, level, width, count, condition):
        size = width, count, condition
        self.down = [LayerSteps(layer, *size) for layer in level.down]
        self.up = [LayerSteps(layer, *size) for layer in level.up]
        self.coarser, self.width = None, width
        if level.coarser is not None:
            coarse = (width + 1) // 2
            self.coarser = LevelSteps(level.coarser, coarse, count, condition)
            self.halve_above = RowConv(level.halve_above)
            self.halve_left = PixelConv(level.halve_left, width, count)
            self.double_above, double = level.double_above, level.double_left
            self.double_left = double.weight.permute(2, 3, 0, 1).flatten(0, 2)  # (2 * 2 * F, F)
            self.bias = double.b.repeat(4)[:, None]
            self.above = None  # the two rows (N, F, 2, W) of a coarse one
            self.left = double.b.new_zeros(2, 2 * coarse, len(double.b), count)

    def row(self, r, above):
        """Row r (N, F, 1, W) of `above`."""
        kept = [above]
        for layer in self.down:
            kept.append(layer.row(kept[-1]))
        above = kept.pop() if self.coarser is None else self.row_of_coarser(r, kept[-1])
        for layer in self.up:
            above = layer.row(above, kept.pop())
        return above

    def row_of_coarser(self, r, above):
        if r % 2:
            self.halve_above.before = above
        else:
            self.halve_left.row()
            self.above = self.double_above(self.coarser.row(r // 2, self.halve_above(above)))
        return self.above[:, :, r % 2, None, : self.width]

    def pixel(self, r, c, left):
        """Pixel (r, c) of `left`, (F, N)."""
        kept = [left]
        for layer in self.down:
            kept.append(layer.pixel(c, kept[-1]))
        left = kept.pop() if self.coarser is None else self.pixel_of_coarser(r, c, kept[-1])
        for layer in self.up:
            left = layer.pixel(c, left, kept.pop())
        return left

    def pixel_of_coarser(self, r, c, left):
        self.halve_left.see(c, left)
        if r % 2 == 0 and c % 2 == 0:
            coarse = self.coarser.pixel(r // 2, c // 2, self.halve_left(c))
            doubled = torch.addmm(self.bias, self.double_left, coarse)
            self.left[:, c : c + 2] = doubled.view(2, 2, *coarse.shape)
        return self.left[r % 2, c]


class Steps:
    """What the network says pixel by pixel: see zoo.networks.raster_sampling."""

    def __init__(self, network, images, condition):
        self.network, self.images = network, images
        self.level = LevelSteps(network.level, images.shape[3], len(images), condition)
        self.own = network.from_left.weight[:, :, 1, 0]
        self.output = network.output.b[:, None], network.output.weight.flatten(1)
        self.terms = None  # (W, F, N): what is known of `left` before the row's first pixel

    def row(self, r):
        """To be called before the first pixel of row r, when the rows above are drawn."""
        network, rows = self.network, with_ones(self.images[:, :, max(r - 2, 0) : r])
        rows = pad(rows, (0, 0, max(2 - r, 0), 1))  # the two rows above, and one that is unknown
        above = network.from_above(rows[:, :, :2])[:, :, 1:]
        left = network.from_row_above(rows[:, :, 1:2])
        if r == 0:
            above, left = torch.zeros_like(above), torch.zeros_like(left)
        left = left + shifted_right(network.from_left(rows[:, :, 1:])[:, :, 1:])
        self.terms = left[:, :, 0].permute(2, 1, 0).contiguous()
        self.level.row(r, above)

    def pixel(self, r, c, part):
        """What is said (outputs, N) of a pixel, when those before it are drawn."""
        left = self.terms[c]
        if c > 0:
            left = torch.addmm(left, self.own, with_ones(self.images[:, :, r, c - 1]).T)
        bias, weight = self.output
        return torch.addmm(bias, weight, elu(self.level.pixel(r, c, left)))
