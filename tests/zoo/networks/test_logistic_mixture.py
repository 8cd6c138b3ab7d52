import math

import pytest
import torch

from zoo.networks import logistic_mixture as logistics

DOUBLE = {"dtype": torch.float64}


def outputs_of(count, channels, mixtures=3, seed=0, spread=1.0):
    torch.manual_seed(seed)
    return spread * torch.randn(count, logistics.output_count(channels, mixtures), **DOUBLE)


def single(mean, log_scale):
    """Outputs (1, 3) of one gray pixel with a single logistic."""
    return torch.tensor([[0.0, mean, log_scale]], **DOUBLE)


def surprisals(outputs, count, **settings):
    """Of all levels of a gray pixel, under outputs (1, P)."""
    levels = torch.arange(count)[:, None]
    return logistics.elementwise_nll(outputs.expand(count, -1), levels, count, **settings)[:, 0]


def probabilities(outputs, count):
    return (-surprisals(outputs, count)).exp()


@pytest.mark.parametrize("channels", [1, 3])
def test_ten_components_of_a_pixel_take_the_authors_number_of_outputs(channels):
    assert logistics.output_count(channels, 10) == {1: 30, 3: 100}[channels]


def test_mass_by_hand():
    """Three levels, mean 0, scale 1: bins end at -1/2 and 1/2."""
    middle = math.tanh(0.25)  # s(1/2) - s(-1/2)
    expected = [(1 - middle) / 2, middle, (1 - middle) / 2]
    assert probabilities(single(0, 0), 3).tolist() == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("count", [2, 3, 17, 256])
@pytest.mark.parametrize("log_scale", [-20, -7, -3, 0, 3, 10])
@pytest.mark.parametrize("mean", [-40, -1, 0.3, 2])
def test_the_masses_of_all_levels_sum_to_one(count, log_scale, mean):
    total = probabilities(single(mean, log_scale), count).sum().item()
    assert total == pytest.approx(1, abs=1e-12)


def test_the_masses_of_all_colors_sum_to_one():
    count = 6
    levels = torch.cartesian_prod(*[torch.arange(count)] * 3)
    elementwise_nll = logistics.elementwise_nll(
        outputs_of(1, 3).expand(len(levels), -1), levels, count
    )
    assert (-elementwise_nll.sum(dim=1)).exp().sum().item() == pytest.approx(1, abs=1e-12)
    of_red = (-elementwise_nll[:: count**2, 0]).exp()  # each channel has a distribution of its own
    of_green = (-elementwise_nll[: count**2 : count, 1]).exp()
    of_blue = (-elementwise_nll[:count, 2]).exp()
    for part in (of_red, of_green, of_blue):
        assert part.sum().item() == pytest.approx(1, abs=1e-12)


def test_two_components_and_three_channels_by_hand():
    """Σ_m π_m Π_c P_m(x_c), the means of green and blue moved by the channels before them."""
    logits, log_scale = [0.3, -0.2], [-2.0, -1.5, -1.0]
    mean = [[0.1, -0.4], [0.2, 0.0], [-0.3, 0.5]]
    raw = [[0.5, -0.7], [0.2, 0.4], [-0.9, 0.1]]  # red to green, red to blue, green to blue
    levels, total = [3, 9, 16], sum(math.exp(logit) for logit in logits)
    x = [level / 8 - 1 for level in levels]
    expected = 0
    for m in range(2):
        c = [math.tanh(pair[m]) for pair in raw]
        mu = mean[0][m], mean[1][m] + c[0] * x[0], mean[2][m] + c[1] * x[0] + c[2] * x[1]
        mass = math.exp(logits[m]) / total
        for channel, scale in enumerate(log_scale):
            z = [(x[channel] - mu[channel] + h) / math.exp(scale) for h in (1 / 16, -1 / 16)]
            upper, lower = (1 / (1 + math.exp(-value)) for value in z)
            mass *= (1 if levels[channel] == 16 else upper) - lower
        expected += mass
    table = torch.tensor([logits, *mean, *([scale] * 2 for scale in log_scale), *raw], **DOUBLE)
    nll = logistics.elementwise_nll(table.view(1, -1), torch.tensor([levels]), 17).sum()
    assert nll.item() == pytest.approx(-math.log(expected), abs=1e-12)


def test_the_tails_are_exact_where_the_official_formula_is_not():
    """Below a mass of 1e-5 the authors take the density, and the bin's edges are far apart."""
    outputs = single(1 / 255, -5.0)
    ours, official = (surprisals(outputs, 256, official=switch) for switch in (False, True))
    likely = ours < -math.log(1.1e-5)
    assert likely.sum() > 15
    torch.testing.assert_close(ours[likely], official[likely], rtol=0, atol=1e-9)
    # Far from the mean the mass is e^-|z| (e^h - e^-h), and the density's is e^-|z| 2 h.
    half = math.exp(5) / 255
    gap = torch.full((70,), math.log(math.sinh(half) / half), **DOUBLE)
    torch.testing.assert_close((official - ours)[10:80], gap, rtol=0, atol=1e-8)


def test_the_official_formula_is_off_by_two_nats_where_scales_are_smallest():
    outputs = single(1 / 255, -7.0)
    ours, official = (surprisals(outputs, 256, official=switch) for switch in (False, True))
    half = math.exp(7) / 255
    error = math.log(math.sinh(half) / half)
    assert error == pytest.approx(2.15, abs=0.01)
    assert (official - ours)[1:100].max().item() == pytest.approx(error, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [-1e4, -100.0, 100.0, 1e4])
@pytest.mark.parametrize("level", [0, 100, 255])
def test_gradients_are_finite_for_extreme_outputs(value, level, dtype):
    for position in range(logistics.output_count(3, 2)):
        outputs = torch.zeros(1, logistics.output_count(3, 2), dtype=dtype)
        outputs[0, position] = value
        outputs.requires_grad_()
        nll = logistics.elementwise_nll(outputs, torch.tensor([[level, 30, 255]]), 256).sum()
        nll.backward()
        assert nll.isfinite()
        assert outputs.grad.isfinite().all()


def test_half_precision_is_left_at_once():
    outputs = outputs_of(4, 3).bfloat16()
    levels = torch.tensor([[1, 2, 3]]).expand(4, -1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        elementwise_nll = logistics.elementwise_nll(outputs, levels, 256)
    assert elementwise_nll.dtype == torch.float32
    reference = logistics.elementwise_nll(outputs.double(), levels, 256)
    torch.testing.assert_close(elementwise_nll.double(), reference, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [2, 5, 256])
def test_uniforms_draw_each_level_as_often_as_it_is_probable(count):
    """A grid of uniforms: shares are exact up to its step."""
    outputs, side = outputs_of(1, 1, mixtures=3), 1200
    grid = (torch.arange(side) + 0.5) / side
    noise = torch.cartesian_prod(grid, grid)
    values = logistics.choose(outputs.expand(len(noise), -1), noise, count)
    levels = ((values + 1) / 2 * (count - 1)).round().long().flatten()
    shares = levels.bincount(minlength=count) / len(noise)
    expected = probabilities(outputs, count)
    torch.testing.assert_close(shares.double(), expected, rtol=0, atol=4 / side)


def test_channels_are_sampled_conditioned_on_previous_ones():
    """A coefficient of one and a tiny scale: green is red; at random, red is spread."""
    outputs = torch.zeros(400, logistics.output_count(3, 1), **DOUBLE)
    outputs[:, 4] = -0.5  # log scale of red
    outputs[:, 5:7] = -20
    outputs[:, 7], outputs[:, 9] = 20.0, -20.0  # green is red, blue minus green
    torch.manual_seed(0)
    red, green, blue = logistics.choose(outputs, torch.rand(400, 4), 9).T
    assert len(red.unique()) == 9
    assert torch.equal(green, red)
    assert torch.equal(blue, -red)


def test_uniforms_at_the_ends_draw_the_ends():
    outputs = outputs_of(2, 3)
    noise = torch.tensor([[0.0] * 4, [1 - 2**-24] * 4])
    values = logistics.choose(outputs, noise, 256)
    assert values[0].tolist() == [-1] * 3
    assert values.isfinite().all()
