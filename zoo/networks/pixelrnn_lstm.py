"""The two-dimensional LSTMs of PixelRNN (van den Oord et al. 2016, arXiv 1601.06759), section 3.

A layer processes one row or diagonal at a time, with all of its pixels in parallel. The input's
contribution to the gates is computed for the whole image first (input-to-state). Each step is then
one matrix product with the previous states (state-to-state).

Input-to-state masks the colors of the pixel itself, see ColorConv. State-to-state needs no mask,
because it reads states of complete pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from zoo.networks.gated_pixelcnn_layers import ColorConv


def skew(maps: Tensor) -> Tensor:
    """(H, W, ...) -> (H + W - 1, H, ...): move pixel (r, c) to (r + c, r), padded with 0."""
    height = len(maps)
    flat = pad(maps, (0, 0) * (maps.dim() - 2) + (0, height)).flatten(0, 1)
    return flat[:-height].unflatten(0, (height, -1)).transpose(0, 1)


def unskew(diagonals: Tensor) -> Tensor:
    """(H + W - 1, H, ...) -> (H, W, ...): undo `skew`."""
    count, height = diagonals.shape[:2]
    flat = pad(
        diagonals.transpose(0, 1).flatten(0, 1), (0, 0) * (diagonals.dim() - 2) + (0, height)
    )
    return flat.unflatten(0, (height, -1))[:, : count - height + 1]


def to_pixels(maps: Tensor) -> Tensor:
    """(N, F, H, W) -> (H, W, N, F)."""
    return maps.permute(2, 3, 0, 1)


def to_images(pixels: Tensor) -> Tensor:
    """(H, W, N, F) -> (N, F, H, W), channels last in memory, so that copies are contiguous."""
    return pixels.permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)


def lstm(gates: Tensor, cell: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the next states and cells, eq. 3.

    Args:
        gates: The gates o, f, i and the content g before their activations, concatenated.
        cell: Cells.
        dim: Dimension of the features.
    """
    gates, content = gates.split([3 * cell.shape[dim], cell.shape[dim]], dim)
    o, f, i = gates.sigmoid().chunk(3, dim)
    cell = f * cell + i * content.tanh()
    return (o * cell.tanh()).to(gates.dtype), cell


def recurrence(terms: Tensor, weight: Tensor, before: int, after: int = 0) -> Tensor:
    """Run D convolutional LSTMs at S places for T steps.

    Args:
        terms: Terms of the input in the gates, (T, D, S, N, 4F).
        weight: State-to-state weights, (D, taps * F, 4F). They apply to the states of the previous
            step at places s - before ... s + after. States outside and at the start are 0.
        before: Number of taps before a place.
        after: Number of taps after a place.

    Returns:
        States (T, D, S, N, F).
    """
    places = terms.shape[2]
    hidden = terms.new_zeros(*terms.shape[1:-1], terms.shape[-1] // 4)
    cell = hidden.to(torch.promote_types(hidden.dtype, torch.float32))  # it accumulates over steps
    states = []
    for term in terms:
        padded = pad(hidden, (0, 0, 0, 0, before, after))
        taps = [padded[:, tap : tap + places] for tap in range(before + 1 + after)]
        window = torch.cat(taps, dim=-1).flatten(1, 2)
        gates = term + torch.bmm(window, weight).view_as(term)
        hidden, cell = lstm(gates, cell, dim=-1)
        states.append(hidden)
    return torch.stack(states)


class LSTMLayer(nn.Module):
    """Add LSTM states to maps (N, 2F, H, W), with a residual connection (figure 5).

    A condition (N, G, 1, 1) is mapped to biases of the gates.

    Args:
        features: F, states of each pixel.
        colors: Number of colors.
        taps: Pixels that input-to-state reads; the last one is the pixel itself.
        state_taps: States that state-to-state reads.
        directions: Number of LSTMs, whose states are added.
        condition: G; 0 for no condition.
    """

    def __init__(
        self,
        features: int,
        colors: int,
        taps: int,
        state_taps: int,
        directions: int,
        condition: int,
    ):
        super().__init__()
        gates, inputs = 4 * features, state_taps * features
        self.input = ColorConv(2 * features, directions * gates, taps, colors, parts=4 * directions)
        bound = inputs**-0.5
        self.state = nn.Parameter(torch.empty(directions, inputs, gates).uniform_(-bound, bound))
        self.condition = (
            nn.Conv2d(condition, directions * gates, 1, bias=False) if condition else None
        )
        self.up = ColorConv(features, 2 * features, 1, colors)

    def forward(self, maps: Tensor, condition: Tensor | None = None) -> Tensor:
        terms = self.input(pad(maps, (self.input.kernel_size[1] - 1, 0)))  # (N, 4F D, H, W)
        if condition is not None and self.condition is not None:
            terms = terms + self.condition(condition)
        return maps + self.up(self.states(terms))

    def states(self, terms: Tensor) -> Tensor:
        """Map terms of the gates (N, 4F D, H, W) to states (N, F, H, W)."""
        raise NotImplementedError


class RowLSTM(LSTMLayer):
    """Row LSTM from top to bottom. A state depends on `kernel` centered states of the row above.

    Args:
        features: States of each pixel.
        colors: Number of colors.
        kernel: Width of both convolutions, odd.
        condition: Channels of the condition; 0 for none.
    """

    def __init__(self, features: int, colors: int, kernel: int, condition: int = 0):
        super().__init__(features, colors, kernel // 2 + 1, kernel, 1, condition)
        self.reach = kernel // 2

    def states(self, terms: Tensor) -> Tensor:
        states = recurrence(to_pixels(terms)[:, None], self.state, self.reach, self.reach)
        return to_images(states[:, 0])


class DiagonalBiLSTM(LSTMLayer):
    """Two LSTMs from the upper corners. A state depends on the states above and beside it.

    The states of the LSTM from the right are shifted down by a row before they are added, so that
    no pixel depends on the pixels on its right. The first convolution has mask A, so these states
    do not contain the last pixel of the row above.

    Args:
        features: States of each pixel.
        colors: Number of colors.
        condition: Channels of the condition; 0 for none.
    """

    def __init__(self, features: int, colors: int, condition: int = 0):
        super().__init__(features, colors, 1, 2, 2, condition)

    def states(self, terms: Tensor) -> Tensor:
        left, right = to_pixels(terms).chunk(2, dim=-1)
        terms = skew(torch.stack([left, right.flip(1)], dim=2))  # (H + W - 1, H, 2, N, 4F)
        states = recurrence(terms.transpose(1, 2), self.state, before=1)
        left, right = unskew(states.transpose(1, 2)).unbind(2)
        return to_images(left + pad(right.flip(1), (0, 0, 0, 0, 0, 0, 1, -1)))
