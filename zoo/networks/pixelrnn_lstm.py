"""The two-dimensional LSTMs of PixelRNN (van den Oord et al. 2016, arXiv 1601.06759), section 3.

A layer goes through the image by the row or by the diagonal, all pixels of one at once. What its
input gives the gates is computed for the whole image before (input-to-state), so that a step is one
matrix product of the states before it (state-to-state).

Input-to-state minds the colours of the pixel itself, see ColourConv. State-to-state mixes them: the
states that it reads are of pixels that are complete.
"""

import torch
from torch import nn
from torch.nn.functional import pad

from zoo.networks.gated_pixelcnn import ColourConv


def skewed(maps):
    """(H, W, ...) -> (H + W - 1, H, ...): a pixel (r, c) to (r + c, r), 0 where there is none."""
    height = len(maps)
    flat = pad(maps, (0, 0) * (maps.dim() - 2) + (0, height)).flatten(0, 1)
    return flat[:-height].unflatten(0, (height, -1)).transpose(0, 1)


def unskewed(diagonals):
    """(H + W - 1, H, ...) -> (H, W, ...): undoes `skewed`."""
    count, height = diagonals.shape[:2]
    flat = pad(
        diagonals.transpose(0, 1).flatten(0, 1), (0, 0) * (diagonals.dim() - 2) + (0, height)
    )
    return flat.unflatten(0, (height, -1))[:, : count - height + 1]


def by_pixel(maps):
    """(N, F, H, W) -> (H, W, N, F)."""
    return maps.permute(2, 3, 0, 1)


def of_images(pixels):
    """(H, W, N, F) -> (N, F, H, W), features last in memory: all copies are of whole features."""
    return pixels.permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)


def lstm(gates, cell, dim):
    """States and cells (eq. 3) after gates o, f, i and content g, the four parts of `gates`."""
    gates, content = gates.split([3 * cell.shape[dim], cell.shape[dim]], dim)
    o, f, i = gates.sigmoid().chunk(3, dim)
    cell = f * cell + i * content.tanh()
    return (o * cell.tanh()).to(gates.dtype), cell


def recurrence(terms, weight, before, after=0):
    """States (T, D, S, N, F) of D convolutional LSTMs at S places, T steps.

    terms: (T, D, S, N, 4F), what the input gives the gates. weight: (D, taps * F, 4F), of the last
    step's states at the places s - before ... s + after; outside and at first they are 0.
    """
    places = terms.shape[2]
    hidden = terms.new_zeros(*terms.shape[1:-1], terms.shape[-1] // 4)
    cell = hidden.to(torch.promote_types(hidden.dtype, torch.float32))  # sums up many steps
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
    """Maps (N, 2F, H, W), to which F states at each pixel, mapped to 2F, are added (figure 5).

    taps: input-to-state reads so many pixels, the last of which is the pixel itself. state_taps:
    state-to-state reads so many states. directions: LSTMs whose states are added. condition:
    numbers, (N, condition, 1, 1), which are mapped to biases of the gates; 0: there are none.
    """

    def __init__(self, features, colours, taps, state_taps, directions, condition):
        super().__init__()
        gates, inputs = 4 * features, state_taps * features
        self.input = ColourConv(
            2 * features, directions * gates, taps, colours, parts=4 * directions
        )
        bound = inputs**-0.5
        self.state = nn.Parameter(torch.empty(directions, inputs, gates).uniform_(-bound, bound))
        self.condition = (
            nn.Conv2d(condition, directions * gates, 1, bias=False) if condition else None
        )
        self.up = ColourConv(features, 2 * features, 1, colours)

    def forward(self, maps, condition=None):
        terms = self.input(pad(maps, (self.input.kernel_size[1] - 1, 0)))
        if condition is not None:
            terms = terms + self.condition(condition)
        return maps + self.up(self.states(terms))


class RowLSTM(LSTMLayer):
    """From the top row to the bottom one; states see `kernel` states of the row above, centred."""

    def __init__(self, features, colours, kernel, condition=0):
        super().__init__(features, colours, kernel // 2 + 1, kernel, 1, condition)
        self.reach = kernel // 2

    def states(self, terms):
        """(N, 4F, H, W) -> (N, F, H, W)."""
        states = recurrence(by_pixel(terms)[:, None], self.state, self.reach, self.reach)
        return of_images(states[:, 0])


class DiagonalBiLSTM(LSTMLayer):
    """From the upper corners to the lower ones; states see those above and beside a pixel.

    The states of the LSTM that comes from the right are moved down by a row before they are added,
    so that no pixel sees what is on its right.
    """

    def __init__(self, features, colours, condition=0):
        super().__init__(features, colours, 1, 2, 2, condition)

    def states(self, terms):
        """(N, 8F, H, W) -> (N, F, H, W)."""
        left, right = by_pixel(terms).chunk(2, dim=-1)
        terms = skewed(torch.stack([left, right.flip(1)], dim=2))  # (H + W - 1, H, 2, N, 4F)
        states = recurrence(terms.transpose(1, 2), self.state, before=1)
        left, right = unskewed(states.transpose(1, 2)).unbind(2)
        return of_images(left + pad(right.flip(1), (0, 0, 0, 0, 0, 0, 1, -1)))
