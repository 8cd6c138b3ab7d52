"""The network of PixelRNN (van den Oord et al. 2016, arXiv 1601.06759), table 1.

A 7x7 convolution that does not see the pixel itself (mask A), layers of LSTMs with residual
connections, and two 1x1 convolutions. Kernels are cropped to the past instead of masked; feature
maps are in as many groups as there are colours, see zoo.networks.gated_pixelcnn.
"""

import torch
from torch import nn
from torch.nn.functional import pad

from zoo.networks.gated_pixelcnn import ColourConv, check_kernel
from zoo.networks.pixelrnn_lstm import DiagonalBiLSTM, RowLSTM, lstm
from zoo.precision import at_least_float32, without_autocast


class FirstConv(nn.Module):
    """(kernel, kernel) with mask A: the rows above, and what is on the left in the pixel's own."""

    def __init__(self, inputs, outputs, kernel, colours):
        super().__init__()
        self.reach = kernel // 2
        self.above = nn.Conv2d(inputs, outputs, (self.reach, kernel), bias=False)
        self.left = ColourConv(inputs, outputs, self.reach + 1, colours, strict=True)

    def forward(self, images):
        height, width = images.shape[-2:]
        above = self.above(pad(images, (self.reach, self.reach, self.reach, 0)))[:, :, :height]
        return above + self.left(pad(images, (self.reach, 0)))[..., :width]


class PixelLSTMs(nn.Module):
    """Images (N, C, H, W) in [-1, 1] to logits (N, C, K, H, W) of the levels of each sub-pixel.

    kind: "row" or "diagonal". width: h, the states of each colour; maps have twice as many.
    head_width: maps of each colour between the last convolutions. kernel: what the Row LSTM's
    convolutions span. given: numbers that the images depend on, passed as (N, given, 1, 1).
    """

    def __init__(
        self, colours, levels, kind, width, layers, head_width, kernel, first_kernel, condition=0
    ):
        super().__init__()
        if kind not in STEPS:
            raise ValueError(f"model.lstm={kind}: there are {', '.join(STEPS)}.")
        check_kernel(kernel=kernel, first_kernel=first_kernel)
        self.colours, self.levels, self.kind = colours, levels, kind
        features, head = width * colours, head_width * colours
        self.first = FirstConv(colours, 2 * features, first_kernel, colours)
        self.layers = nn.ModuleList(
            RowLSTM(features, colours, kernel, condition)
            if kind == "row"
            else DiagonalBiLSTM(features, colours, condition)
            for _ in range(layers)
        )
        self.hidden = ColourConv(2 * features, head, 1, colours)
        self.output = ColourConv(head, levels * colours, 1, colours)

    def forward(self, images, condition=None):
        maps = self.first(images).contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            maps = layer(maps, condition)
        hidden = self.hidden(maps.relu()).relu()
        with without_autocast(hidden):
            logits = self.output(at_least_float32(hidden))
        return logits.unflatten(1, (self.colours, self.levels))

    def steps(self, images, condition=None):
        """What draws images (N, C, H, W) in place, see zoo.networks.raster_sampling."""
        return STEPS[self.kind](self, images, condition)


class Steps:
    """The network's logits sub-pixel by sub-pixel: see zoo.networks.raster_sampling.

    Features of a row are (W, F, N), those of its L layers are stacked, so that what layers do not
    wait for each other for is one product. Features of colours not yet drawn are those of the row
    above: masks hide them. A kind of LSTM has `before(r)`, (L, W, 4F, N), what the gates of row r
    have before its first pixel is drawn, and `step`, a layer's states at a pixel.
    """

    def __init__(self, network, images, condition):
        count, colours, _, width = images.shape
        self.network, self.images, self.width = network, images, width
        self.layers, first = network.layers, network.first
        self.features = self.layers[0].up.in_channels
        self.each = self.features // colours
        self.taps, self.reach = self.layers[0].input.kernel_size[1], first.reach
        self.pixels = images.new_zeros(width + self.reach, colours, count)
        inputs = width + self.taps - 1, 2 * self.features, count
        self.maps = images.new_zeros(len(self.layers) + 1, *inputs)  # after so many layers
        self.hidden = images.new_zeros(network.hidden.out_channels, count)
        self.state = torch.stack([layer.state for layer in self.layers]).transpose(2, 3)
        biases = [layer.input.bias[:, None] for layer in self.layers]
        if condition is not None:
            biases = [
                bias + layer.condition(condition)[:, :, 0, 0].T
                for bias, layer in zip(biases, self.layers, strict=True)
            ]
        self.bias = torch.stack(biases)[:, None]
        self.left = first.left.matrices()
        self.input = [layer.input.matrices() for layer in self.layers]
        self.up = [layer.up.matrices() for layer in self.layers]
        self.head = network.hidden.matrices(), network.output.matrices()

    def zeros(self, places):
        """States of `places` pixels of a row, (L, places, F, N)."""
        return self.images.new_zeros(len(self.layers), places, self.features, len(self.images))

    def by_colour(self, gates, dim):
        """The four parts of 4F gates, along dim, as four parts for each colour: C, 4F / C."""
        gates = gates.unflatten(dim, (4, self.network.colours, self.each))
        return gates.transpose(dim, dim + 1).flatten(dim + 1, dim + 2).contiguous()

    def row(self, r):
        """To be called before the first pixel of row r, when the rows above are drawn."""
        reach = self.reach
        rows = pad(self.images[:, :, max(r - reach, 0) : r], (reach, reach, max(reach - r, 0), 0))
        self.above = self.network.first.above(rows)[:, :, 0].permute(2, 1, 0)
        self.known = self.by_colour(self.before(r), 2)

    def pixel(self, r, c, colour):
        """Logits (K, N) of a sub-pixel, when those before it are drawn."""
        states = slice(colour * self.each, (colour + 1) * self.each)
        own, at = slice(2 * states.start, 2 * states.stop), c + self.taps - 1
        self.maps[0, at, own] = self.above[c, own] + self.on_the_left(r, c, colour)
        for layer, (maps, after) in enumerate(zip(self.maps, self.maps[1:], strict=False)):
            hidden = self.step(layer, c, colour, states, maps[c : at + 1].flatten(0, 1))
            weight, bias = self.up[layer][colour]
            after[at, own] = maps[at, own] + torch.addmm(bias, weight, hidden)
        (weight, bias), output = (matrices[colour] for matrices in self.head)
        hidden = torch.addmm(bias, weight, self.maps[-1, at].relu()).relu_()
        self.hidden[colour * len(hidden) : (colour + 1) * len(hidden)] = hidden
        return torch.addmm(output[1], output[0], self.hidden)

    def on_the_left(self, r, c, colour):
        """What the first convolution sees in the pixel's own row, with its bias."""
        weight, bias = self.left[colour]
        drawn = slice(max(c - 1, 0), c + 1)
        places = slice(drawn.start + self.reach, drawn.stop + self.reach)
        self.pixels[places] = self.images[:, :, r, drawn].permute(2, 1, 0)
        taps = self.network.first.left.kernel_size[1]
        return torch.addmm(bias, weight, self.pixels[c : c + taps].flatten(0, 1))


class RowSteps(Steps):
    """What states see of the row above is known for all pixels before the first one."""

    def __init__(self, network, images, condition):
        super().__init__(network, images, condition)
        self.side = self.layers[0].reach
        self.states, self.cells = self.zeros(self.width + 2 * self.side), self.zeros(self.width)

    def before(self, r):
        taps = range(2 * self.side + 1)
        window = [self.states[:, tap : tap + self.width] for tap in taps]
        return self.bias + self.state @ torch.cat(window, dim=2)

    def step(self, layer, c, colour, own, window):
        weight, _ = self.input[layer][colour]
        gates = torch.addmm(self.known[layer, c, colour], weight, window)
        states, cells = self.states[layer, c + self.side], self.cells[layer, c]
        states[own], cells[own] = lstm(gates, cells[own], dim=0)
        return states


class DiagonalSteps(Steps):
    """The LSTM from the left goes on with each pixel, that from the right with each whole row."""

    def __init__(self, network, images, condition):
        super().__init__(network, images, condition)
        self.states, self.cells = self.zeros(self.width + 1), self.zeros(self.width + 1)
        self.right = self.zeros(self.width)  # of the row above
        (self.above_left, beside), self.state_right = (
            state.chunk(2, dim=2) for state in self.state.unbind(1)
        )
        self.beside_left = self.by_colour(beside, 1)
        self.bias_left, self.bias_right = self.bias.chunk(2, dim=2)
        inputs = [(layer.input.weight * layer.input.mask)[:, :, 0, 0] for layer in self.layers]
        _, self.input_right = torch.stack(inputs).chunk(2, dim=1)

    def before(self, r):
        if r:
            self.complete()
        return self.bias_left + self.above_left[:, None] @ self.states[:, 1:]

    def complete(self):
        """The states from the right in the row that has just been drawn."""
        above, beside = self.state_right
        terms = self.bias_right + self.input_right[:, None] @ self.maps[:-1]
        terms = terms + above[:, None] @ self.right
        hidden = cells = torch.zeros_like(self.right[:, 0])
        for c in reversed(range(self.width)):
            gates = torch.baddbmm(terms[:, c], beside, hidden)
            hidden, cells = lstm(gates, cells, dim=1)
            self.right[:, c] = hidden

    def step(self, layer, c, colour, own, window):
        weight, _ = self.input[layer][colour]
        gates = torch.addmm(self.known[layer, c, colour], weight[: 4 * self.each], window)
        gates = gates.addmm_(self.beside_left[layer, colour], self.states[layer, c])
        states, cells = self.states[layer, c + 1], self.cells[layer]
        states[own], cells[c + 1, own] = lstm(gates, cells[c, own], dim=0)
        return states + self.right[layer, c]


STEPS = {"row": RowSteps, "diagonal": DiagonalSteps}
