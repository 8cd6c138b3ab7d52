"""The network of PixelCNN++ (Salimans et al. 2017, arXiv 1701.05517), figure 2.

Two streams of gated resnets are halved and doubled again, with skip connections between layers of
equal size. A coarse pixel covers four pixels, and depends only on pixels before the first of them.
"""

from typing import Any

import torch
from torch import Tensor, nn
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
    """The layers of one size, with those of the coarser sizes between its first and second half.

    For odd sizes the doubled maps have an extra row or column, which is cropped.

    Args:
        resolutions: Number of sizes, this one included.
        layers: Layers of each half.
        width: Channels of both streams.
        condition: Channels of the condition; 0 for none.
        dropout: Probability of dropout.
    """

    def __init__(self, resolutions: int, layers: int, width: int, condition: int, dropout: float):
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

    def forward(
        self, above: Tensor, left: Tensor, condition: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        skips = [(above, left)]
        for layer in self.down:
            skips.append(layer(*skips[-1], condition=condition))
        if self.coarser is None:
            above, left = skips.pop()
        else:
            above, left = self.coarser_maps(*skips[-1], condition)
        for layer in self.up:
            above, left = layer(above, left, skips.pop(), condition)
        return above, left

    def coarser_maps(
        self, above: Tensor, left: Tensor, condition: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Halve both streams, apply the coarser sizes, and double them again."""
        height, width = left.shape[-2:]
        coarser: Any = self.coarser
        above, left = coarser(self.halve_above(above), self.halve_left(left), condition)
        above, left = self.double_above(above), self.double_left(left)
        return above[..., :height, :width], left[..., :height, :width]


class TwoStreams(nn.Module):
    """Images (N, C, H, W) in [-1, 1] -> outputs (N, P, H, W) for each pixel.

    The outputs of a pixel depend only on the pixels above and on its left. Conditions are
    (N, G, 1, 1).

    Args:
        colors: C.
        outputs: P.
        width: Channels of both streams.
        layers: Gated resnets of each stream at each size, on the way down and again on the way up.
        resolutions: Number of sizes, each half the one before.
        condition: G; 0 for no condition.
        dropout: Probability of dropout.
    """

    def __init__(
        self,
        colors: int,
        outputs: int,
        width: int,
        layers: int,
        resolutions: int,
        condition: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.from_above = above_conv(colors + 1, width)
        self.from_row_above = NormedConv(colors + 1, width, (1, 3), (1, 1, 0, 0))
        self.from_left = NormedConv(colors + 1, width, (2, 1), (0, 0, 1, 0))
        self.level = Level(resolutions, layers, width, condition, dropout)
        self.output = NormedConv(width, outputs)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        inputs = append_ones(images)
        above = shift_down(self.from_above(inputs))  # (N, F, H, W)
        left = shift_down(self.from_row_above(inputs)) + shift_right(self.from_left(inputs))
        _, left = self.level(above, left, condition)
        with without_autocast(left):  # half precision cannot distinguish neighboring levels
            return self.output(elu(at_least_float32(left)))

    def steps(self, images: Tensor, condition: Tensor | None = None) -> "Steps":
        """Return steps for images (N, C, H, W), see zoo.networks.raster_sampling."""
        return Steps(self, images, condition)


def append_ones(images: Tensor) -> Tensor:
    """Append a channel of ones, which distinguishes black pixels from those outside the image."""
    return torch.cat([images, torch.ones_like(images[:, :1])], dim=1)


def shift_down(maps: Tensor) -> Tensor:
    """Shift maps (N, F, H, W) down by a row."""
    return pad(maps, (0, 0, 1, -1))


def shift_right(maps: Tensor) -> Tensor:
    """Shift maps (N, F, H, W) to the right by a column."""
    return pad(maps, (1, -1))


class LevelSteps:
    """Compute a level: `above` row by row, and `left` pixel by pixel.

    A coarse row is computed together with the first of its two rows, and a coarse pixel with the
    first of its four pixels.

    Args:
        level: A Level.
        width: W.
        count: N.
        condition: (N, G, 1, 1) or None.
    """

    coarser: Any

    def __init__(self, level: Any, width: int, count: int, condition: Tensor | None):
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
            self.above: Any = None  # the two rows (N, F, 2, W) of a coarse row
            self.left = double.b.new_zeros(2, 2 * coarse, len(double.b), count)

    def row(self, r: int, above: Tensor) -> Tensor:
        """Return row r (N, F, 1, W) of `above`."""
        skips = [above]
        for layer in self.down:
            skips.append(layer.row(skips[-1]))
        above = skips.pop() if self.coarser is None else self.coarser_row(r, skips[-1])
        for layer in self.up:
            above = layer.row(above, skips.pop())
        return above

    def coarser_row(self, r: int, above: Tensor) -> Tensor:
        """Return row r (N, F, 1, W) of the doubled output of the coarser level."""
        if r % 2:
            self.halve_above.before = above
        else:
            self.halve_left.row()
            self.above = self.double_above(self.coarser.row(r // 2, self.halve_above(above)))
        return self.above[:, :, r % 2, None, : self.width]

    def pixel(self, r: int, c: int, left: Tensor) -> Tensor:
        """Return pixel (r, c) of `left`, (F, N)."""
        skips = [left]
        for layer in self.down:
            skips.append(layer.pixel(c, skips[-1]))
        left = skips.pop() if self.coarser is None else self.coarser_pixel(r, c, skips[-1])
        for layer in self.up:
            left = layer.pixel(c, left, skips.pop())
        return left

    def coarser_pixel(self, r: int, c: int, left: Tensor) -> Tensor:
        """Return pixel (r, c), (F, N), of the doubled output of the coarser level."""
        self.halve_left.see(c, left)
        if r % 2 == 0 and c % 2 == 0:
            coarse = self.coarser.pixel(r // 2, c // 2, self.halve_left(c))
            doubled = torch.addmm(self.bias, self.double_left, coarse)
            self.left[:, c : c + 2] = doubled.view(2, 2, *coarse.shape)
        return self.left[r % 2, c]


class Steps:
    """Compute the outputs pixel by pixel, see zoo.networks.raster_sampling.

    Args:
        network: The network.
        images: (N, C, H, W), sampled in place.
        condition: (N, G, 1, 1) or None.
    """

    def __init__(self, network: TwoStreams, images: Tensor, condition: Tensor | None):
        self.network, self.images = network, images
        self.level = LevelSteps(network.level, images.shape[3], len(images), condition)
        self.own = network.from_left.weight[:, :, 1, 0]
        self.output = network.output.b[:, None], network.output.weight.flatten(1)
        self.terms: Any = None  # (W, F, N), terms of `left` before the row's first pixel

    def row(self, r: int) -> None:
        """Compute `above` at row r; called when the rows above are sampled."""
        network, rows = self.network, append_ones(self.images[:, :, max(r - 2, 0) : r])
        rows = pad(rows, (0, 0, max(2 - r, 0), 1))  # the two rows above, and one of zeros
        above = network.from_above(rows[:, :, :2])[:, :, 1:]
        left = network.from_row_above(rows[:, :, 1:2])
        if r == 0:
            above, left = torch.zeros_like(above), torch.zeros_like(left)
        left = left + shift_right(network.from_left(rows[:, :, 1:])[:, :, 1:])
        self.terms = left[:, :, 0].permute(2, 1, 0).contiguous()
        self.level.row(r, above)

    def pixel(self, r: int, c: int, part: int | slice) -> Tensor:
        """Return the outputs (P, N) of a pixel; called when all previous ones are sampled."""
        left = self.terms[c]
        if c > 0:
            left = torch.addmm(left, self.own, append_ones(self.images[:, :, r, c - 1]).T)
        bias, weight = self.output
        return torch.addmm(bias, weight, elu(self.level.pixel(r, c, left)))
