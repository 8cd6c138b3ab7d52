"""The gated PixelCNN (van den Oord et al. 2016, arXiv 1606.05328), with cached sampling.

The layers are in gated_pixelcnn_layers.py.
"""

from typing import Any

import torch
from torch import Tensor, nn

from zoo.networks.dense_conv import ConvTransposeFrom1x1
from zoo.networks.gated_pixelcnn_layers import (
    ColorConv,
    GatedLayer,
    check_kernel,
    gated_activation,
)
from zoo.precision import at_least_float32, without_autocast


class GatedConvs(nn.Module):
    """Images (N, C, H, W) in [-1, 1] -> logits (N, C, K, H, W) of the levels of each sub-pixel.

    Conditions are (N, G, 1, 1).

    Args:
        colors: C, the number of sub-pixels that are predicted one after the other.
        levels: K.
        width: Number of feature maps per color.
        layers: Number of layers.
        kernel: Size of the layers' kernels, odd.
        first_kernel: Size of the first layer's kernel, odd.
        condition: G; 0 for no condition.
        condition_map_size: Map the condition to feature maps of this size first (section 2.3), so
            that its effect depends on the position. Default: no such maps.
        inputs: Channels of the input, C by default. Several channels can represent one color.

    Raises:
        ValueError: A kernel size is even or less than 3.
    """

    layers: Any  # nn.ModuleList of GatedLayer

    def __init__(
        self,
        colors: int,
        levels: int,
        width: int,
        layers: int,
        kernel: int,
        first_kernel: int,
        condition: int = 0,
        condition_map_size: int | None = None,
        inputs: int | None = None,
    ):
        super().__init__()
        check_kernel(kernel=kernel, first_kernel=first_kernel)
        self.colors, self.levels, features = colors, levels, width * colors
        self.place: nn.Module = nn.Identity()
        if condition_map_size:
            self.place, condition = condition_maps(condition, width, condition_map_size), width
        channels = inputs or colors
        first = GatedLayer(channels, features, colors, first_kernel, True, False, condition)
        self.layers = nn.ModuleList([first])
        for layer in range(1, layers):
            residual = layer < layers - 1  # the last layer's horizontal stack is not used
            self.layers.append(
                GatedLayer(features, features, colors, kernel, False, residual, condition)
            )
        self.hidden = ColorConv(features, features, 1, colors)
        self.output = ColorConv(features, levels * colors, 1, colors)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        condition = self.place(condition)
        above, left, skips = images, images, []
        for layer in self.layers:
            above, left, skip = layer(above, left, condition)
            skips.append(skip)
        hidden = self.hidden(sum(skips[1:], start=skips[0]).relu()).relu()  # (N, F, H, W)
        with without_autocast(hidden):
            logits = self.output(at_least_float32(hidden))
        return logits.unflatten(1, (self.colors, self.levels))

    def steps(self, images: Tensor, condition: Tensor | None = None) -> "Steps":
        """Return steps for images (N, C, H, W), see zoo.networks.raster_sampling."""
        return Steps(self, images, self.place(condition))


def condition_maps(condition: int, width: int, size: int) -> nn.Sequential:
    """Return m of s = m(h), section 2.3: (N, G, 1, 1) -> (N, width, size, size)."""
    return nn.Sequential(
        ConvTransposeFrom1x1(condition, width, size, bias=True),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
    )


class LayerSteps:
    """Compute a layer: the vertical stack row by row, then the horizontal one pixel by pixel.

    Features of a row are (F, W, N) in the vertical stack. In the horizontal stack they are
    (W, F, N), so that a convolution's window is a matrix (taps * F, N) without a copy.

    Args:
        layer: The layer.
        images: (N, C, H, W).
        condition: As for the layer.
        gated: The horizontal stack's gated outputs of a pixel, written by the steps, and a row of
            ones, (F + 1, N).
    """

    def __init__(self, layer: Any, images: Tensor, condition: Tensor | None, gated: Tensor):
        count, _, _, width = images.shape
        colors = layer.horizontal.colors
        self.layer, self.width, self.gated = layer, width, gated
        self.condition: Any = None
        if condition is not None:
            self.condition = layer.condition(condition).permute(2, 1, 3, 0)  # (1 or H, 4F, ., N)
        inputs, (rows, _) = layer.vertical.in_channels, layer.vertical.kernel_size
        self.above = images.new_zeros(inputs, rows, width + 2 * layer.reach, count)
        self.left = images.new_zeros(width + layer.reach, inputs, count)
        self.vertical = layer.vertical.bias[:, None], layer.vertical.weight.flatten(1)
        bias = layer.horizontal.bias + layer.link.bias
        self.link = bias[:, None], layer.link.weight.flatten(1)
        self.horizontal = [weight for weight, _ in layer.horizontal.matrices()]
        self.residual = layer.residual and with_bias_column(layer.residual)
        # The gates of a row's pixels. Those not yet sampled have only the terms of the rows above.
        self.gates = images.new_zeros(width, colors, len(self.horizontal[0]), count)

    def row(self, r: int, new: Tensor) -> Tensor:
        """Return the vertical stack's output at row r, from its newest input row (F, W, N)."""
        reach, (bias, weight) = self.layer.reach, self.vertical
        self.above = self.above.roll(-1, dims=1)
        self.above[:, -1, reach : reach + self.width] = new
        windows = self.above.unfold(2, 2 * reach + 1, 1).permute(0, 1, 4, 2, 3)
        rows = torch.addmm(bias, weight, windows.reshape(weight.shape[1], -1))  # (2F, W * N)
        for_row: Tensor | float = 0.0
        if self.condition is not None:
            condition = self.condition[r if len(self.condition) > 1 else 0]
            for_rows, for_row = condition.expand(-1, self.width, -1).flatten(1).chunk(2)
            rows = rows + for_rows
        bias, weight = self.link
        row = torch.addmm(bias + for_row, weight, rows)
        _, colors, _, count = self.gates.shape
        row = row.view(2, colors, -1, self.width, count).permute(3, 1, 0, 2, 4)
        self.gates.unflatten(2, (2, -1)).copy_(row)  # (W, C, 2, F / C, N)
        return gated_activation(rows, dim=0).view(-1, self.width, count)

    def views(self, c: int, color: int, after: "LayerSteps | None") -> tuple[Any, ...]:
        """Return the operands of Steps.pixel for a color of pixel c. `after` is the next layer."""
        window = self.left[c : c + self.layer.taps].flatten(0, 1)
        gates = self.gates[c, color]
        a, b = gates.chunk(2)
        own = slice(color * len(a), (color + 1) * len(a))
        old = self.left[c + self.layer.reach, own]
        new = None if after is None else after.left[c + after.layer.reach, own]
        residual = None if self.residual is None else self.residual[color]
        horizontal = self.horizontal[color], window, gates, a, b, self.gated[own], new
        return *horizontal, residual, self.gated, old


def with_bias_column(conv: ColorConv) -> list[Tensor]:
    """Return a 1x1 convolution's matrix (outputs, inputs + 1) of each color, with the bias."""
    return [torch.cat(matrices, dim=1) for matrices in conv.matrices()]


class Steps:
    """Compute the logits sub-pixel by sub-pixel, see zoo.networks.raster_sampling.

    For few images, most of the time is spent on starting operations. Pixels are therefore computed
    in place, on views that are made once for all rows. Features have a row of ones, so that biases
    are columns of the weights. Steps have no gradients: call them in torch.no_grad().

    Args:
        network: The network.
        images: (N, C, H, W), sampled in place.
        condition: As for the layers.
    """

    def __init__(self, network: GatedConvs, images: Tensor, condition: Tensor | None):
        count, _, _, width = images.shape
        colors, features, self.images = network.colors, network.hidden.in_channels, images
        gated = images.new_ones(len(network.layers), features + 1, count)
        self.layers = [
            LayerSteps(layer, images, condition, own)
            for layer, own in zip(network.layers, gated, strict=True)
        ]
        pairs = list(zip(self.layers, [*self.layers[1:], None], strict=True))
        self.views = [
            [[layer.views(c, color, after) for layer, after in pairs] for color in range(colors)]
            for c in range(width)
        ]
        self.gated = gated.flatten(0, 1)
        self.skipped, self.hidden = images.new_ones(2, features + 1, count)
        own_rows = [maps[:-1].chunk(colors) for maps in (self.skipped, self.hidden)]
        by_color = zip(*(with_bias_column(layer.skip) for layer in network.layers), strict=True)
        skips = [torch.cat(matrices, dim=1) for matrices in by_color]
        heads = skips, with_bias_column(network.hidden), with_bias_column(network.output)
        self.heads: list[Any] = list(zip(*heads, *own_rows, strict=True))

    def row(self, r: int) -> None:
        """Compute the vertical stack at row r; called when the rows above are sampled."""
        new = self.images[:, :, r - 1] if r else torch.zeros_like(self.images[:, :, 0])
        new = new.permute(1, 2, 0)
        for layer in self.layers:
            new = layer.row(r, new)

    def pixel(self, r: int, c: int, color: int) -> Tensor:
        """Return the logits (K, N) of a sub-pixel; called when all previous ones are sampled."""
        first, *_ = self.layers
        newest = slice(max(c - 1, 0), c + 1)
        places = slice(newest.start + first.layer.reach, newest.stop + first.layer.reach)
        first.left[places] = self.images[:, :, r, newest].permute(2, 1, 0)
        for weight, window, gates, a, b, output, new, residual, gated, old in self.views[c][color]:
            gates.addmm_(weight, window)
            torch.mul(a.tanh_(), b.sigmoid_(), out=output)
            if residual is not None:
                torch.addmm(old, residual, gated, out=new)
            elif new is not None:
                new.copy_(output)
        skip, hidden, output, own_skipped, own_hidden = self.heads[color]
        torch.mm(skip, self.gated, out=own_skipped).relu_()
        torch.mm(hidden, self.skipped, out=own_hidden).relu_()
        return output @ self.hidden
