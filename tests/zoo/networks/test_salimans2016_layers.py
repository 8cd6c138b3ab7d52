"""The layers of Salimans et al. 2016, in closed form."""

import math
from copy import deepcopy

import pytest
import torch
from torch import nn

from zoo.networks.salimans2016_layers import (
    Discriminator,
    GaussianNoise,
    HistoricalAverage,
    MinibatchDiscrimination,
    ReferenceBatchGenerator,
    VirtualBatchNorm,
    batch_norm,
    init_from_data_,
)
from zoo.networks.weight_norm import add_weight_norm_

NEAR = {"rtol": 0, "atol": 1e-5}


def test_identical_rows_are_as_close_as_can_be_without_themselves():
    layer = MinibatchDiscrimination(6, kernels=4, dims=3)
    assert torch.equal(layer.closeness(torch.randn(1, 6).expand(5, 6)), torch.full((5, 4), 4.0))
    assert torch.equal(layer.closeness(torch.randn(1, 6)), torch.zeros(1, 4))


def test_far_rows_are_alone():
    rows = 1e4 * torch.eye(5, 6)
    assert torch.equal(MinibatchDiscrimination(6).closeness(rows), torch.zeros(5, 100))


def test_closeness_of_two_rows_by_hand():
    layer = MinibatchDiscrimination(2, kernels=2, dims=2)
    layer.tensor.data = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.0, 0.0]]])
    result = layer(torch.tensor([[1.0, 2.0], [0.0, 0.0]]))
    near = [math.exp(-3), math.exp(-1)]  # ‖(1, 2)‖₁ and ‖(0.5, 0.5)‖₁
    expected = torch.tensor([[1.0, 2.0, *near], [0.0, 0.0, *near]])
    torch.testing.assert_close(result, expected)


def test_minibatch_discrimination_follows_a_permutation():
    layer, rows, order = MinibatchDiscrimination(6), torch.randn(7, 6), torch.randperm(7)
    torch.testing.assert_close(layer(rows)[order], layer(rows[order]))
    closeness = layer.closeness(rows)
    assert closeness.min() > 0
    assert closeness.max() < 6


def alone_and_in_company(norm, shape, reference=0):
    """What a norm makes of the same example among two different batches."""
    fixed, example = torch.randn(reference, *shape), torch.randn(1, *shape)
    mates = (torch.randn(4, *shape), 9 + 3 * torch.randn(4, *shape))
    one, other = (norm(torch.cat([fixed, example, some]))[reference] for some in mates)
    return one, other


@pytest.mark.parametrize("shape", [(5,), (5, 3, 3)])
def test_virtual_batch_norm_does_not_look_at_the_rest_of_the_batch(shape):
    one, other = alone_and_in_company(VirtualBatchNorm(5, 8), shape, reference=8)
    assert torch.equal(one, other)
    one, other = alone_and_in_company(batch_norm(5, maps=len(shape) > 1), shape)
    assert (one - other).abs().max() > 0.1


def test_virtual_batch_norm_by_hand():
    reference, example = torch.tensor([[0.0], [2.0], [4.0]]), torch.tensor([[6.0]])
    norm = VirtualBatchNorm(1, 3)
    nn.init.constant_(norm.bias, 0.5)
    result = norm(torch.cat([reference, example])).flatten() - 0.5
    mean, square = (3 * 2 + 6) / 4, (3 * 20 / 3 + 36) / 4
    assert result[3].item() == pytest.approx((6 - mean) / math.sqrt(square - mean**2 + 1e-5))
    assert result[0].item() == pytest.approx((0 - 2) / math.sqrt(20 / 3 - 4 + 1e-5), rel=1e-5)


def test_virtual_batch_norm_is_batch_norm_on_the_reference():
    maps = 3 + 2 * torch.randn(16, 5, 4, 4)
    expected = batch_norm(5, maps=True)(maps)
    torch.testing.assert_close(VirtualBatchNorm(5, 16)(maps), expected, rtol=0, atol=1e-5)


def test_the_reference_is_kept_with_the_weights_and_left_out_of_the_images():
    network = ReferenceBatchGenerator(VirtualBatchNorm(3, 6), torch.randn(6, 3))
    assert network(torch.randn(4, 3)).shape == (4, 3)
    assert network(torch.randn(4, 3)).requires_grad
    assert "reference" in network.state_dict()
    assert not any(parameter.shape == (6, 3) for parameter in network.parameters())


def play(weight, steps=4000, rate=0.05):
    """|θ| after simultaneous gradient steps from (1, 1) on min over x, max over y of xy."""
    x, y = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    history = HistoricalAverage([x, y])
    for _ in range(steps):
        loss = (x * y.detach() - x.detach() * y).sum() + weight * history([x, y])
        gradients = torch.autograd.grad(loss, (x, y))
        with torch.no_grad():
            x -= rate * gradients[0]
            y -= rate * gradients[1]
    return math.hypot(x.item(), y.item())


def test_historical_averaging_ends_the_orbit_of_a_game():
    """Without it the players spiral outwards, by √(1 + rate²) a step."""
    assert play(0.0, 1000) == pytest.approx(math.sqrt(2) * (1 + 0.05**2) ** 500, rel=0.01)
    assert play(0.1) < 0.01


def test_the_history_is_the_mean_of_all_that_was_seen_and_is_saved():
    weights = nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(4))
    history, values = HistoricalAverage(weights), [1.0, 4.0, 7.0]
    for value in values:
        for weight in weights:
            nn.init.constant_(weight, value)
        penalty = history(weights)
    assert penalty.item() == pytest.approx(10 * (7 - 4) ** 2)
    penalty.backward()
    assert weights[1].grad.tolist() == [6.0] * 4
    again = HistoricalAverage(weights)
    again.load_state_dict(history.state_dict())
    assert again(weights).item() == history(weights).item() == pytest.approx(10 * (7 - 4.75) ** 2)


def test_the_history_stays_in_float32():
    """In bfloat16, the 1001st mean would equal the 1000th."""
    weight = nn.Parameter(torch.ones(2))
    history = HistoricalAverage([weight]).bfloat16()
    assert history.mean0.dtype == torch.float32
    assert HistoricalAverage([weight]).double().mean0.dtype == torch.float64
    history.mean0.fill_(1.0)
    history.step.fill_(1000)
    history([torch.full((2,), 2.0, dtype=torch.bfloat16)])
    torch.testing.assert_close(history.mean0, torch.full((2,), 1 + 1 / 1001))


def test_noise_has_its_spread_in_training_alone():
    layer, zeros = GaussianNoise(0.5), torch.zeros(200, 100)
    assert layer(zeros).std().item() == pytest.approx(0.5, rel=0.02)
    assert torch.equal(layer.eval()(zeros), zeros)


def test_weight_norm_keeps_the_mean_square_behind_a_relu_and_its_gain():
    layer = add_weight_norm_(nn.Linear(300, 400))
    assert layer.weight.norm(dim=1).tolist() == pytest.approx([2**0.5] * 400, rel=1e-5)
    outputs = layer(torch.randn(500, 300)).relu()
    assert outputs.square().mean().item() == pytest.approx(1.0, rel=0.03)
    assert len(list(layer.parameters())) == 2
    assert len(list(add_weight_norm_(nn.Linear(300, 400), gain=1.0).parameters())) == 3


class Watched(nn.Module):
    """Passes its inputs on and remembers them."""

    def forward(self, inputs):
        self.seen = inputs
        return inputs


def moments(outputs):
    channels = outputs.transpose(0, 1).flatten(1)
    return channels.mean(dim=1), channels.std(dim=1, correction=0)


@pytest.mark.parametrize("std", [1.0, 0.1])
@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ((nn.Linear(6, 9), nn.ReLU(), GaussianNoise(0.5), nn.Linear(9, 4)), (6,)),
        ((nn.Conv2d(2, 5, 3, stride=2), nn.Dropout(0.5), nn.Conv2d(5, 3, 1)), (2, 8, 8)),
        ((nn.Conv2d(2, 5, 3), nn.ReLU(), nn.ConvTranspose2d(5, 3, 2, stride=2)), (2, 8, 8)),
    ],
)
def test_settled_layers_have_mean_0_and_their_deviation(layers, shape, std):
    """With the noise of training: the same draws give the same outputs again."""
    *layers, last = deepcopy(layers)
    layers = [add_weight_norm_(i) if hasattr(i, "weight") else i for i in layers]
    transposed = isinstance(last, nn.ConvTranspose2d)
    last = add_weight_norm_(last, gain=1.0, output_std=std, dim=int(transposed))
    first, watched = layers[0], Watched()
    network = nn.Sequential(first, watched, *layers[1:], last).eval()
    images = 3 + 2 * torch.randn(50, *shape)
    torch.manual_seed(1)
    init_from_data_(network, images)
    assert not network.training
    torch.manual_seed(1)
    outputs = network.train()(images)
    for seen, expected in ((watched.seen, 1.0), (outputs, std)):
        mean, deviation = moments(seen)
        torch.testing.assert_close(mean, torch.zeros_like(mean), **NEAR)
        torch.testing.assert_close(deviation, torch.full_like(deviation, expected))
    noisy = any(isinstance(layer, GaussianNoise | nn.Dropout) for layer in layers)
    _, deviation = moments(network.eval()(images))
    assert (deviation < 0.99 * std).any() == noisy, "noise counts as in training"


def test_a_layer_may_be_left_as_it_is():
    layer = add_weight_norm_(nn.Linear(3, 2), gain=1.0, output_std=None)
    before = [weight.clone() for weight in layer.parameters()]
    init_from_data_(nn.Sequential(layer), 5 * torch.randn(40, 3))
    for weight, other in zip(layer.parameters(), before, strict=True):
        assert torch.equal(weight, other)


def test_settled_minibatch_discrimination_has_neighbors_at_a_distance_of_2():
    layer, rows = MinibatchDiscrimination(6, kernels=4, dims=3), 7 * torch.randn(30, 6)
    init_from_data_(nn.Sequential(layer), rows)
    maps = torch.einsum("nf,fbc->nbc", rows, layer.tensor)
    distances = (maps[:, None] - maps[None]).abs().sum(dim=3)  # (N, N, B)
    distances += 1e9 * torch.eye(30)[:, :, None]
    torch.testing.assert_close(distances.amin(dim=1).mean(dim=0), torch.full((4,), 2.0))


def test_a_unit_that_is_dead_stays_as_it_is():
    network = Discriminator(
        [add_weight_norm_(nn.Linear(3, 2)), nn.ReLU()], [add_weight_norm_(nn.Linear(2, 2))]
    )
    gain = network.trunk[0].parametrizations.weight.original0.clone()
    init_from_data_(network, torch.ones(8, 3))  # all alike: no variance at all
    assert torch.equal(network.trunk[0].parametrizations.weight.original0, gain)
    assert all(weight.isfinite().all() for weight in network.parameters())
