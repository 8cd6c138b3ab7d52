"""The gated convolutions of PixelCNN (van den Oord et al. 2016, arXiv 1606.05328), figure 2.

Two stacks of layers, so that there is no blind spot: the vertical one sees the rows above a pixel,
the horizontal one what is on its left and, by a link in each layer, what the vertical one has seen.
Kernels are cropped to the past instead of masked. Only the pixel itself needs masks, for its
colours come one after the other: feature maps are in as many groups as there are colours, of which
each sees those of earlier colours and, past the first layer, its own.
"""

import torch
from torch import nn
from torch.nn.functional import conv2d, pad

from zoo.networks.dense_conv import ConvTransposeFrom1x1
from zoo.precision import at_least_float32, without_autocast


class ColourConv(nn.Conv2d):
    """Convolution of (1, taps) along a row; its last tap, the pixel itself, minds the colours.

    strict: a colour does not see itself; a lone one then leaves that tap out, and sees the taps
    before it. Outputs are in `parts` parts, of which each holds all colours in turn.
    """

    def __init__(self, inputs, outputs, taps, colours, strict=False, parts=1):
        cropped = strict and colours == 1
        super().__init__(inputs, outputs, (1, taps - cropped))
        self.colours, self.parts = colours, parts
        seen = torch.arange(inputs) // (inputs // colours)
        seeing = torch.arange(outputs // parts) // (outputs // parts // colours)
        seeing = seeing.repeat(parts)[:, None]
        mask = torch.ones_like(self.weight, dtype=torch.bool)
        if not cropped:
            mask[:, :, 0, -1] = (seen < seeing) if strict else (seen <= seeing)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, maps):
        weight, bias = self.weight * self.mask, self.bias
        return conv2d(maps, weight.to(maps.dtype), bias.to(maps.dtype))

    def matrices(self):
        """Of each colour: weight (outputs, taps * inputs) and bias (outputs, 1)."""
        weight = (self.weight * self.mask)[:, :, 0].transpose(1, 2).flatten(1)
        rows = torch.arange(self.out_channels).view(self.parts, self.colours, -1)
        rows = [rows[:, colour].flatten() for colour in range(self.colours)]
        return [(weight[chosen].contiguous(), self.bias[chosen, None]) for chosen in rows]


def check_kernel(**sides):
    """Raises ValueError for a kernel that has no middle, or that sees nothing else."""
    for name, side in sides.items():
        if side < 3 or side % 2 == 0:
            raise ValueError(f"model.{name}={side} must be odd, and at least 3.")


def gated_activation(maps, dim=1):
    """tanh(a) sigmoid(b), a and b the halves of the maps along dim."""
    a, b = maps.chunk(2, dim)
    return a.tanh() * b.sigmoid()


class GatedLayer(nn.Module):
    """One layer of both stacks.

    first: sees nothing of the pixel itself. residual: the horizontal stack goes on by an addition.
    """

    def __init__(self, inputs, width, colours, kernel, first, residual, condition):
        super().__init__()
        self.reach = kernel // 2
        rows = taps = self.reach + 1
        self.vertical = nn.Conv2d(inputs, 2 * width, (rows - first, kernel))
        self.horizontal = ColourConv(inputs, 2 * width, taps, colours, strict=first, parts=2)
        self.taps = self.horizontal.kernel_size[1]
        self.link = nn.Conv2d(2 * width, 2 * width, 1)
        self.condition = nn.Conv2d(condition, 4 * width, 1, bias=False) if condition else None
        self.residual = ColourConv(width, width, 1, colours) if residual else None
        self.skip = ColourConv(width, width, 1, colours)

    def forward(self, above, left, condition):
        """Both stacks (N, F, H, W) after this layer, and what it adds to the output."""
        height, width, reach = *left.shape[-2:], self.reach
        rows = self.vertical(pad(above, (reach, reach, reach, 0)))[:, :, :height]
        row = self.horizontal(pad(left, (reach, 0)))[..., :width]
        if condition is not None:
            for_rows, for_row = self.condition(condition).chunk(2, dim=1)
            rows, row = rows + for_rows, row + for_row
        output = gated_activation(row + self.link(rows))
        left = output if self.residual is None else left + self.residual(output)
        return gated_activation(rows), left, self.skip(output)


class GatedConvs(nn.Module):
    """Images (N, C, H, W) in [-1, 1] to logits (N, C, K, H, W) of the levels of each sub-pixel.

    width: feature maps of each colour; kernel, first_kernel: odd sides of the layers' kernels and
    of the first layer's. given: numbers h that the images depend on, passed as (N, given, 1, 1);
    with place_size they are mapped to maps of that size first (section 2.3), so that they may mean
    something else at each place.
    """

    def __init__(
        self, colours, levels, width, layers, kernel, first_kernel, condition=0, place_size=None
    ):
        super().__init__()
        check_kernel(kernel=kernel, first_kernel=first_kernel)
        self.colours, self.levels, features = colours, levels, width * colours
        self.place, condition = nn.Identity(), condition
        if place_size:
            self.place, condition = placing(condition, width, place_size), width
        first = GatedLayer(colours, features, colours, first_kernel, True, False, condition)
        self.layers = nn.ModuleList([first])
        for layer in range(1, layers):
            residual = layer < layers - 1  # nothing reads that of the last
            self.layers.append(
                GatedLayer(features, features, colours, kernel, False, residual, condition)
            )
        self.hidden = ColourConv(features, features, 1, colours)
        self.output = ColourConv(features, levels * colours, 1, colours)

    def forward(self, images, condition=None):
        condition = self.place(condition)
        above, left, output = images, images, 0
        for layer in self.layers:
            above, left, skip = layer(above, left, condition)
            output = output + skip
        hidden = self.hidden(output.relu()).relu()
        with without_autocast(hidden):
            logits = self.output(at_least_float32(hidden))
        return logits.unflatten(1, (self.colours, self.levels))

    def steps(self, images, condition=None):
        """What draws images (N, C, H, W) in place, see zoo.networks.raster_sampling."""
        return Steps(self, images, self.place(condition))


def placing(condition, width, size):
    """m of s = m(h): (N, given, 1, 1) -> (N, width, size, size)."""
    return nn.Sequential(
        ConvTransposeFrom1x1(condition, width, size, bias=True),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
    )


class LayerSteps:
    """One layer's features, each computed once: the vertical stack's row by row, then the others.

    Features of a row are (W, F, N): a convolution's window is one matrix (taps * F, N), no copy.
    """

    def __init__(self, layer, images, condition):
        count, _, _, width = images.shape
        self.layer, self.width = layer, width
        self.condition = None if condition is None else layer.condition(condition)
        inputs, rows = layer.vertical.in_channels, layer.vertical.kernel_size[0]
        self.above = images.new_zeros(count, inputs, rows, width + 2 * layer.reach)
        self.left = images.new_zeros(width + layer.reach, inputs, count)
        self.horizontal = layer.horizontal.matrices()
        self.residual = layer.residual and layer.residual.matrices()
        self.terms = None  # (W, C, 2F / C, N): what is known of the row before its first pixel

    def row(self, r, new):
        """The vertical stack's step: the newest row (N, F, 1, W) that it sees, to its output."""
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

    def pixel(self, c, colour):
        """The horizontal stack's gates (F / C, N) for a colour of pixel c."""
        weight, _ = self.horizontal[colour]
        window = self.left[c : c + self.layer.taps].flatten(0, 1)
        return gated_activation(torch.addmm(self.terms[c, colour], weight, window), dim=0)


class Steps:
    """The network's logits sub-pixel by sub-pixel: see zoo.networks.raster_sampling."""

    def __init__(self, network, images, condition):
        self.images = images
        self.layers = [LayerSteps(layer, images, condition) for layer in network.layers]
        features = network.hidden.in_channels
        self.each = features // network.colours
        self.gates = images.new_zeros(len(self.layers), features, len(images))
        self.skipped, self.hidden = images.new_zeros(2, features, len(images))
        skips = zip(*(layer.skip.matrices() for layer in network.layers), strict=True)
        skips = [
            (torch.cat([weight for weight, _ in of_layers], dim=1), sum(b for _, b in of_layers))
            for of_layers in skips
        ]
        heads = skips, network.hidden.matrices(), network.output.matrices()
        self.heads = list(zip(*heads, strict=True))

    def row(self, r):
        """To be called before the first pixel of row r, when the rows above are drawn."""
        new = self.images[:, :, r - 1 : r] if r else torch.zeros_like(self.images[:, :, :1])
        for layer in self.layers:
            new = layer.row(r, new)

    def pixel(self, r, c, colour):
        """Logits (K, N) of a sub-pixel, when those before it are drawn."""
        own = slice(colour * self.each, (colour + 1) * self.each)
        first, *_ = self.layers
        known = slice(max(c - 1, 0), c + 1)
        shift = first.layer.reach
        first.left[known.start + shift : known.stop + shift] = self.images[:, :, r, known].permute(
            2, 1, 0
        )
        for layer, after, gates in zip(
            self.layers, [*self.layers[1:], None], self.gates, strict=True
        ):
            gates[own] = layer.pixel(c, colour)
            if after is not None:
                left = gates[own]
                if layer.residual:
                    weight, bias = layer.residual[colour]
                    left = layer.left[c + layer.layer.reach, own] + torch.addmm(bias, weight, gates)
                after.left[c + after.layer.reach, own] = left
        skip, hidden, output = self.heads[colour]
        self.skipped[own] = torch.addmm(skip[1], skip[0], self.gates.flatten(0, 1)).relu_()
        self.hidden[own] = torch.addmm(hidden[1], hidden[0], self.skipped).relu_()
        return torch.addmm(output[1], output[0], self.hidden)
