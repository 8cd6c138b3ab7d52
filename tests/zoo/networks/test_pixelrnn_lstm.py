import math

import pytest
import torch

from zoo.networks.pixelrnn_lstm import DiagonalBiLSTM, RowLSTM, lstm, recurrence, skew, unskew


def test_skewing_puts_a_pixel_on_its_diagonal_and_is_undone():
    maps = torch.arange(1.0, 25.0).view(3, 4, 2)  # H, W, and what a pixel has
    diagonals = skew(maps)
    assert diagonals.shape == (6, 3, 2)
    for r in range(3):
        for c in range(4):
            assert torch.equal(diagonals[r + c, r], maps[r, c])
    assert diagonals.count_nonzero() == 24
    assert torch.equal(unskew(diagonals), maps)
    assert torch.equal(unskew(skew(maps.transpose(0, 1))), maps.transpose(0, 1))


def test_a_cell_by_hand():
    """o = 1/2, f = 3/4, i = 1/5, content 1/2 and a cell of 0.4: 0.75 * 0.4 + 0.2 * 0.5 = 0.4."""
    gates = torch.tensor([[0.0, math.log(3), math.log(1 / 4), math.atanh(0.5)]])
    hidden, cell = lstm(gates, torch.tensor([[0.4]]), dim=1)
    assert cell.item() == pytest.approx(0.4)
    assert hidden.item() == pytest.approx(0.5 * math.tanh(0.4))


def test_two_steps_at_two_places_by_hand():
    """All gates are open but for content: a state is tanh(cell), the second step sees one above."""
    terms = torch.full((2, 1, 2, 1, 4), 50.0)  # sigmoid(50) = 1
    terms[0, 0, :, 0, 3] = torch.tensor([0.5, -0.25])
    terms[1, 0, :, 0, 3] = 0
    weight = torch.zeros(1, 2, 4)  # of the state at place s - 1, and at s
    weight[0, 0, 3] = 2.0
    first = [math.tanh(0.5), math.tanh(-0.25)]  # the cells
    second = [first[0], first[1] + math.tanh(2 * math.tanh(first[0]))]
    expected = torch.tensor([first, second]).tanh().view(2, 1, 2, 1, 1)
    torch.testing.assert_close(recurrence(terms, weight, before=1), expected)


def test_cells_are_not_rounded_to_half_precision():
    """1 and then 64 times 2^-9, of which each would be lost beside the 1."""
    terms = torch.full((65, 1, 1, 1, 4), 50.0)
    terms[0, ..., 3], terms[1:, ..., 3] = 10.0, 2**-9
    states = recurrence(terms.bfloat16(), torch.zeros(1, 1, 4).bfloat16(), before=0)
    assert states.dtype == torch.bfloat16
    assert states[-1].item() == pytest.approx(math.tanh(1.125), abs=2**-8)


def layer_and_maps(cls, colors=1, **settings):
    torch.manual_seed(0)
    layer = cls(3 * colors, colors, **settings).double()
    layer.input.bias.data += 1
    return layer, torch.randn(2, 6 * colors, 4, 5, dtype=torch.float64)


def cell_of(layer, direction, given, states, cell):
    """A pixel's states and cells (N, F) by eq. 3, of what the input gives and states before it."""
    gates = given + torch.cat(states, dim=1) @ layer.state[direction]
    o, f, i, g = gates.chunk(4, dim=1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


@pytest.mark.parametrize("colors", [1, 3])
def test_the_diagonal_lstm_is_a_loop_over_pixels(colors):
    layer, maps = layer_and_maps(DiagonalBiLSTM, colors)
    count, _, height, width = maps.shape
    weight = (layer.input.weight * layer.input.mask)[:, :, 0, 0]
    nothing = maps.new_zeros(count, 3 * colors)
    states = {}  # (direction, r, c) -> state, cell
    for direction, step in ((0, 1), (1, -1)):
        for r in range(height):
            for c in range(width)[::step]:
                given = maps[:, :, r, c] @ weight.T + layer.input.bias
                above, _ = states.get((direction, r - 1, c), (nothing, nothing))
                beside, cell = states.get((direction, r, c - step), (nothing, nothing))
                states[direction, r, c] = cell_of(
                    layer, direction, given.chunk(2, dim=1)[direction], [above, beside], cell
                )
    summed = torch.zeros(count, 3 * colors, height, width, dtype=torch.float64)
    for r in range(height):
        for c in range(width):
            right, _ = states.get((1, r - 1, c), (nothing, nothing))
            summed[:, :, r, c] = states[0, r, c][0] + right
    torch.testing.assert_close(layer(maps), maps + layer.up(summed), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("colors", [1, 3])
def test_the_row_lstm_is_a_loop_over_pixels(colors, kernel):
    layer, maps = layer_and_maps(RowLSTM, colors, kernel=kernel)
    count, _, height, width = maps.shape
    reach, weight = kernel // 2, layer.input.weight * layer.input.mask
    assert weight.shape[3] == reach + 1
    blank = maps.new_zeros(count, 6 * colors)
    nothing = maps.new_zeros(count, 3 * colors)
    states, summed = {}, torch.zeros(count, 3 * colors, height, width, dtype=torch.float64)
    for r in range(height):
        for c in range(width):
            given = layer.input.bias
            for tap in range(reach + 1):
                left = c - reach + tap
                pixel = maps[:, :, r, left] if left >= 0 else blank
                given = given + pixel @ weight[:, :, 0, tap].T
            places = range(c - reach, c + reach + 1)
            above = [states.get((r - 1, place), (nothing, nothing))[0] for place in places]
            _, cell = states.get((r - 1, c), (nothing, nothing))
            states[r, c] = cell_of(layer, 0, given, above, cell)
            summed[:, :, r, c] = states[r, c][0]
    torch.testing.assert_close(layer(maps), maps + layer.up(summed), rtol=0, atol=1e-12)


def test_a_condition_is_a_bias_of_the_gates():
    for cls, settings in ((DiagonalBiLSTM, {}), (RowLSTM, {"kernel": 3})):
        layer, maps = layer_and_maps(cls, condition=2, **settings)
        given = torch.tensor([0.5, -2.0], dtype=torch.float64).view(1, 2, 1, 1)
        conditioned = layer(maps, given)
        assert not torch.allclose(conditioned, layer(maps))
        layer.input.bias.data += layer.condition(given).flatten()
        torch.testing.assert_close(layer(maps), conditioned)
