"""MADE: masks, orders and the mixture of orders. Causality is tested with all exact models."""

import math
from itertools import product

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from tests import kit


def small(**parameters):
    torch.manual_seed(0)
    model = kit.build("made", 2, width=16, num_levels=2, **parameters).double().eval()
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return model


EVERY = torch.tensor(list(product([-1.0, 1.0], repeat=8)), dtype=torch.float64)


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("orders", [1, 3])
@pytest.mark.parametrize("layers", [1, 2])
def test_probabilities_of_all_binary_images_sum_to_one(orders, layers, direct):
    torch.manual_seed(0)
    settings = {"orders": orders, "layers": layers, "direct": direct, "width": 16, "num_levels": 2}
    model = kit.build("made", 2, 2, **settings).double().eval()  # 2 channels of 2x2: D = 8
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    nll = model.nll({"image": EVERY.view(-1, 2, 2, 2)})
    assert nll.std() > 0.1
    torch.testing.assert_close((-nll).exp().sum().item(), 1.0, atol=1e-12, rtol=0)


def test_each_order_sees_exactly_what_comes_before():
    model = small(orders=4, layers=2)
    orders = model.network.orders
    assert len({tuple(order.tolist()) for order in orders}) == 4
    images = torch.where(torch.rand(1, 1, 2, 2) < 0.5, -1.0, 1.0).double()
    for number, order in enumerate(orders):
        base = model.elementwise_nll({"image": images}, number).flatten()
        for position, place in enumerate(order.tolist()):
            other = images.clone().flatten()
            other[place] *= -1
            changed = model.elementwise_nll({"image": other.view_as(images)}, number).flatten()
            same = (changed == base)[order]
            assert same[:position].all()
            assert not same[position:].any()


def test_the_density_is_the_mean_of_the_orders():
    model = small(orders=3)
    batch = {"image": EVERY[:10, :4].view(-1, 1, 2, 2)}
    each = [(-model.elementwise_nll(batch, k).flatten(1).sum(dim=1)).exp() for k in range(3)]
    torch.testing.assert_close(model.nll(batch), -torch.stack(each).mean(dim=0).log())


def test_the_network_is_a_masked_perceptron():
    """By hand: hidden degrees 1 ... D - 1, with equality in the hidden layer only."""
    model = small(direct=True, layers=1)
    network = model.network
    degrees, ranks = network.degrees, torch.arange(1, 5)
    assert degrees.min() == 1
    assert degrees.max() == 3
    inputs = EVERY[:6, :4]
    first = network.hidden[0].weight * (degrees[:, None] >= ranks)
    hidden = (linear(inputs, first) + network.hidden[0].bias).relu()
    last = network.output.weight * (ranks[:, None] > degrees)
    logit = linear(hidden, last) + network.output.bias
    logit = logit + linear(inputs, network.direct.weight * (ranks[:, None] > ranks))
    expected = cross_entropy(
        torch.stack([torch.zeros_like(logit), logit], dim=1), (inputs > 0).long(), reduction="none"
    )
    found = model.elementwise_nll({"image": inputs.view(-1, 1, 2, 2)}).flatten(1)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("conditional", [False, True])
def test_samples_in_random_orders_have_the_density(conditional):
    """Frequencies of 4 pixels in 20,000 samples of a mixture of orders."""
    model = small(orders=3, conditional=conditional)
    condition = {"label": torch.full((20000,), 3)} if conditional else None
    torch.manual_seed(1)
    samples = model.sample(20000, condition)
    every = EVERY[:16, 4:]
    code = ((samples.flatten(1) > 0) * 2 ** torch.arange(3, -1, -1)).sum(dim=1)
    frequency = code.bincount(minlength=16) / 20000
    batch = {"image": every.view(-1, 1, 2, 2)} | (
        {"label": torch.full((16,), 3)} if conditional else {}
    )
    probability = (-model.nll(batch)).exp()
    deviation = (probability * (1 - probability) / 20000).sqrt()
    assert ((frequency - probability).abs() < 4 * deviation + 1e-4).all()


def test_visible_pixels_are_kept_in_every_order():
    model = small(orders=3)
    images = torch.where(torch.rand(30, 1, 2, 2) < 0.5, -1.0, 1.0)
    mask = torch.zeros(30, 1, 2, 2)
    mask[:, :, 1] = 1
    filled = model.sample(30, {"image": images, "mask": mask})
    assert torch.equal(filled[:, :, 0], images[:, :, 0].double())
    assert not torch.equal(filled[:, :, 1], images[:, :, 1].double())


def test_training_goes_through_the_orders(tmp_path, monkeypatch):
    model, seen = kit.build("made", orders=3), []
    nll = type(model).elementwise_nll

    def noted(self, batch, order=0):
        seen.append(order)
        return nll(self, batch, order)

    monkeypatch.setattr(type(model), "elementwise_nll", noted)
    kit.fit(model, tmp_path, 6)
    assert seen[:6] == [1, 2, 0, 1, 2, 0]


def test_it_learns(tmp_path):
    """Binarized digits: 22.4 nats is the target of a full run, 24 after 600 batches."""
    from datamodules.digits import Digits
    from zoo.metrics.compute import likelihood_metrics

    data = Digits(binarize=True, batch_size=64)
    model = kit.build("made", width=500, layers=1, lr=2e-3, num_levels=2)
    kit.fit(model, tmp_path, 600, data=data)
    nats = likelihood_metrics(model, data, "test")["nats_exact_levels2_test"]
    assert math.isfinite(nats)
    assert nats < 24.5
