"""Fast sampling with PixelRNN (van den Oord et al. 2016, arXiv 1601.06759)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo.networks.pixelrnn_lstm import lstm


class Steps:
    """Compute the logits sub-pixel by sub-pixel, see zoo.networks.raster_sampling.

    Features of a row are (W, F, N). Those of all L layers are stacked, so that independent terms of
    the layers are one product. Colors that are not sampled yet still have the features of the row
    above, which masks exclude. A subclass for a kind of LSTM defines `before` and `step`.

    Args:
        network: A PixelLSTMs.
        images: (N, C, H, W), sampled in place.
        condition: (N, G, 1, 1) or None.
    """

    above: Tensor  # (W, 2F, N), the first convolution's terms of the rows above
    gates: Tensor  # (L, W, C, 4F / C, N), terms of the gates before the row's first pixel

    def __init__(self, network: Any, images: Tensor, condition: Tensor | None):
        count, colors, _, width = images.shape
        self.network, self.images, self.width = network, images, width
        self.layers, first = network.layers, network.first
        self.features = self.layers[0].up.in_channels
        self.each = self.features // colors
        self.taps, self.reach = self.layers[0].input.kernel_size[1], first.reach
        self.pixels = images.new_zeros(width + self.reach, colors, count)
        inputs = width + self.taps - 1, 2 * self.features, count
        self.maps = images.new_zeros(len(self.layers) + 1, *inputs)  # of each layer's input
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

    def zeros(self, places: int) -> Tensor:
        """Return states of `places` pixels of a row, (L, places, F, N), all 0."""
        return self.images.new_zeros(len(self.layers), places, self.features, len(self.images))

    def by_color(self, gates: Tensor, dim: int) -> Tensor:
        """Regroup 4F gates along dim, which are in four parts, as (C, 4F / C)."""
        gates = gates.unflatten(dim, (4, self.network.colors, self.each))
        return gates.transpose(dim, dim + 1).flatten(dim + 1, dim + 2).contiguous()

    def before(self, r: int) -> Tensor:
        """Return the terms of row r's gates before its first pixel is sampled, (L, W, 4F, N)."""
        raise NotImplementedError

    def step(self, layer: int, c: int, color: int, own: slice, window: Tensor) -> Tensor:
        """Compute a layer's states for a color of pixel c.

        Args:
            layer: Index of the layer.
            c: Column of the pixel.
            color: Index of the color.
            own: The color's slice of the states.
            window: The layer's inputs at the taps, (taps * 2F, N).

        Returns:
            States of all colors, (F, N).
        """
        raise NotImplementedError

    def row(self, r: int) -> None:
        """Prepare row r; called when the rows above are sampled."""
        reach = self.reach
        rows = pad(self.images[:, :, max(r - reach, 0) : r], (reach, reach, max(reach - r, 0), 0))
        self.above = self.network.first.above(rows)[:, :, 0].permute(2, 1, 0)
        self.gates = self.by_color(self.before(r), 2)

    def pixel(self, r: int, c: int, color: int) -> Tensor:
        """Return the logits (K, N) of a sub-pixel; called when all previous ones are sampled."""
        states = slice(color * self.each, (color + 1) * self.each)
        own, at = slice(2 * states.start, 2 * states.stop), c + self.taps - 1
        self.maps[0, at, own] = self.above[c, own] + self.left_terms(r, c, color)
        for layer, (maps, after) in enumerate(zip(self.maps, self.maps[1:], strict=False)):
            hidden = self.step(layer, c, color, states, maps[c : at + 1].flatten(0, 1))
            weight, bias = self.up[layer][color]
            after[at, own] = maps[at, own] + torch.addmm(bias, weight, hidden)
        (weight, bias), output = (matrices[color] for matrices in self.head)
        hidden = torch.addmm(bias, weight, self.maps[-1, at].relu()).relu_()
        self.hidden[color * len(hidden) : (color + 1) * len(hidden)] = hidden
        return torch.addmm(output[1], output[0], self.hidden)

    def left_terms(self, r: int, c: int, color: int) -> Tensor:
        """Return the first convolution's terms of the pixel's own row, with its bias."""
        weight, bias = self.left[color]
        newest = slice(max(c - 1, 0), c + 1)
        places = slice(newest.start + self.reach, newest.stop + self.reach)
        self.pixels[places] = self.images[:, :, r, newest].permute(2, 1, 0)
        taps = self.network.first.left.kernel_size[1]
        return torch.addmm(bias, weight, self.pixels[c : c + taps].flatten(0, 1))


class RowSteps(Steps):
    """Steps of Row LSTMs. The terms of the row above are computed for all pixels at once."""

    def __init__(self, network: Any, images: Tensor, condition: Tensor | None):
        super().__init__(network, images, condition)
        self.side = self.layers[0].reach
        self.states, self.cells = self.zeros(self.width + 2 * self.side), self.zeros(self.width)

    def before(self, r: int) -> Tensor:
        taps = range(2 * self.side + 1)
        window = [self.states[:, tap : tap + self.width] for tap in taps]
        return self.bias + self.state @ torch.cat(window, dim=2)

    def step(self, layer: int, c: int, color: int, own: slice, window: Tensor) -> Tensor:
        weight, _ = self.input[layer][color]
        gates = torch.addmm(self.gates[layer, c, color], weight, window)
        states, cells = self.states[layer, c + self.side], self.cells[layer, c]
        states[own], cells[own] = lstm(gates, cells[own], dim=0)
        return states


class DiagonalSteps(Steps):
    """Steps of Diagonal BiLSTMs: pixel by pixel from the left, row by row from the right."""

    def __init__(self, network: Any, images: Tensor, condition: Tensor | None):
        super().__init__(network, images, condition)
        self.states, self.cells = self.zeros(self.width + 1), self.zeros(self.width + 1)
        self.right = self.zeros(self.width)  # of the row above
        (self.above_left, beside), self.state_right = (
            state.chunk(2, dim=2) for state in self.state.unbind(1)
        )
        self.beside_left = self.by_color(beside, 1)
        self.bias_left, self.bias_right = self.bias.chunk(2, dim=2)
        inputs = [(layer.input.weight * layer.input.mask)[:, :, 0, 0] for layer in self.layers]
        _, self.input_right = torch.stack(inputs).chunk(2, dim=1)

    def before(self, r: int) -> Tensor:
        if r:
            self.complete_row()
        return self.bias_left + self.above_left[:, None] @ self.states[:, 1:]

    def complete_row(self) -> None:
        """Compute the states of the LSTM from the right in the row that has just been sampled."""
        above, beside = self.state_right
        terms = self.bias_right + self.input_right[:, None] @ self.maps[:-1]
        terms = terms + above[:, None] @ self.right
        hidden = cells = torch.zeros_like(self.right[:, 0])
        for c in reversed(range(self.width)):
            gates = torch.baddbmm(terms[:, c], beside, hidden)
            hidden, cells = lstm(gates, cells, dim=1)
            self.right[:, c] = hidden

    def step(self, layer: int, c: int, color: int, own: slice, window: Tensor) -> Tensor:
        weight, _ = self.input[layer][color]
        gates = torch.addmm(self.gates[layer, c, color], weight[: 4 * self.each], window)
        gates = gates.addmm_(self.beside_left[layer, color], self.states[layer, c])
        states, cells = self.states[layer, c + 1], self.cells[layer]
        states[own], cells[c + 1, own] = lstm(gates, cells[c, own], dim=0)
        return states + self.right[layer, c]


STEPS: dict[str, type[Steps]] = {"row": RowSteps, "diagonal": DiagonalSteps}
