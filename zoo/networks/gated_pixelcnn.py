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
        colors: C.
        levels: K.
        width: Number of feature maps per color.
        layers: Number of layers.
        kernel: Size of the layers' kernels, odd.
        first_kernel: Size of the first layer's kernel, odd.
        condition: G; 0 for no condition.
        condition_map_size: Map the condition to feature maps of this size first (section 2.3), so
            that its effect depends on the position. Default: no such maps.

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
    ):
        super().__init__()
        check_kernel(kernel=kernel, first_kernel=first_kernel)
        self.colors, self.levels, features = colors, levels, width * colors
        self.place: nn.Module = nn.Identity()
        if condition_map_size:
            self.place, condition = condition_maps(condition, width, condition_map_size), width
        first = GatedLayer(colors, features, colors, first_kernel, True, False, condition)
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

    Features of a row are (W, F, N), so that a convolution's window is a matrix (taps * F, N)
    without a copy.

    Args:
        layer: The layer.
        images: (N, C, H, W).
        condition: As for the layer.
    """

    def __init__(self, layer: Any, images: Tensor, condition: Tensor | None):
        count, _, _, width = images.shape
        self.layer, self.width = layer, width
        self.condition = None if condition is None else layer.condition(condition)
        inputs, rows = layer.vertical.in_channels, layer.vertical.kernel_size[0]
        self.above = images.new_zeros(count, inputs, rows, width + 2 * layer.reach)
        self.left = images.new_zeros(width + layer.reach, inputs, count)
        self.horizontal = layer.horizontal.matrices()
        self.residual = layer.residual and layer.residual.matrices()
        self.terms: Any = None  # (W, C, 2F / C, N), the row's terms before its first pixel

    def row(self, r: int, new: Tensor) -> Tensor:
        """Return the vertical stack's output at row r, from its newest input row (N, F, 1, W)."""
        layer, reach = self.layer, self.layer.reach
        self.above = self.above.roll(-1, dims=2)
        self.above[:, :, -1:, reach : reach + self.width] = new
        rows = layer.vertical(self.above)
        row = layer.horizontal.bias[:, None, None]
        if self.condition is not None:
            condition = self.condition
            condition = condition[:, :, r : r + 1] if condition.shape[2] > 1 else condition
            for_rows, for_row = condition.chunk(2, dim=1)
            rows, row = rows + for_rows, row + for_row
        row = (row + layer.link(rows))[:, :, 0]
        row = row.unflatten(1, (2, len(self.horizontal), -1))  # (N, 2, C, F / C, W)
        self.terms = row.permute(4, 2, 1, 3, 0).flatten(2, 3).contiguous()
        return gated_activation(rows)

    def pixel(self, c: int, color: int) -> Tensor:
        """Return the horizontal stack's gated outputs (F / C, N) for a color of pixel c."""
        weight, _ = self.horizontal[color]
        window = self.left[c : c + self.layer.taps].flatten(0, 1)
        return gated_activation(torch.addmm(self.terms[c, color], weight, window), dim=0)


class Steps:
    """Compute the logits sub-pixel by sub-pixel, see zoo.networks.raster_sampling.

    Args:
        network: The network.
        images: (N, C, H, W), sampled in place.
        condition: As for the layers.
    """

    def __init__(self, network: GatedConvs, images: Tensor, condition: Tensor | None):
        self.images = images
        self.layers = [LayerSteps(layer, images, condition) for layer in network.layers]
        features = network.hidden.in_channels
        self.each = features // network.colors
        self.gates = images.new_zeros(len(self.layers), features, len(images))
        self.skipped, self.hidden = images.new_zeros(2, features, len(images))
        by_color = zip(*(layer.skip.matrices() for layer in network.layers), strict=True)
        skips = [
            (torch.cat([weight for weight, _ in matrices], dim=1), sum(b for _, b in matrices))
            for matrices in by_color
        ]
        heads = skips, network.hidden.matrices(), network.output.matrices()
        self.heads: list[Any] = list(zip(*heads, strict=True))

    def row(self, r: int) -> None:
        """Compute the vertical stack at row r; called when the rows above are sampled."""
        new = self.images[:, :, r - 1 : r] if r else torch.zeros_like(self.images[:, :, :1])
        for layer in self.layers:
            new = layer.row(r, new)

    def pixel(self, r: int, c: int, color: int) -> Tensor:
        """Return the logits (K, N) of a sub-pixel; called when all previous ones are sampled."""
        own = slice(color * self.each, (color + 1) * self.each)
        first, *_ = self.layers
        newest = slice(max(c - 1, 0), c + 1)
        places = slice(newest.start + first.layer.reach, newest.stop + first.layer.reach)
        first.left[places] = self.images[:, :, r, newest].permute(2, 1, 0)
        for layer, after, gates in zip(
            self.layers, [*self.layers[1:], None], self.gates, strict=True
        ):
            gates[own] = layer.pixel(c, color)
            if after is not None:
                left = gates[own]
                if layer.residual:
                    weight, bias = layer.residual[color]
                    left = layer.left[c + layer.layer.reach, own] + torch.addmm(bias, weight, gates)
                after.left[c + after.layer.reach, own] = left
        skip, hidden, output = self.heads[color]
        self.skipped[own] = torch.addmm(skip[1], skip[0], self.gates.flatten(0, 1)).relu_()
        self.hidden[own] = torch.addmm(hidden[1], hidden[0], self.skipped).relu_()
        return torch.addmm(output[1], output[0], self.hidden)
