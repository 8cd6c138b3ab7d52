"""What makes a model of p(x) = Π p(x_i | x_1 ... x_i-1) one, for each whose `surprisal` is exact.

Every position of a small sample is changed in turn. Its surprisal at earlier positions must stay as
it was, bit for bit, and at later ones change as far as the model sees: all the way, unless its own
test has a function `sees(model)`, (positions, positions) bool, that says something else.
"""

from importlib import import_module
from itertools import product

import pytest
import torch

import zoo
from tests import kit
from zoo.config import catalog

CLASSES = {name: kit.class_of(catalog.describe("model", name).target) for name in zoo.models()}
MODELS = [
    name
    for name, cls in CLASSES.items()
    if hasattr(cls, "elementwise_nll") and cls.likelihood_kind == "exact"
]
SIDE = 4


def small(name, channels=1, size=SIDE, num_levels=4):
    torch.manual_seed(0)
    model = kit.build(name, size, channels, num_levels=num_levels, width=32).double()
    for parameter in model.parameters():  # so that no unit is dead, and none is certain
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def in_order(values):
    """(N, C, H, W) or (N, T) as (N, positions), in the order in which they are drawn."""
    return values.movedim(1, -1).flatten(1) if values.dim() == 4 else values


def elementwise_nll(model, samples):
    """(N, positions) of samples one by one: what is random in training is the same for each."""
    values = []
    for sample in samples:
        torch.manual_seed(0)
        values.append(model.elementwise_nll({model.needs[0]: sample[None]}))
    return in_order(torch.cat(values)).detach()


def dependence(model, num_levels=4):
    """(positions, positions) bool: whether a change of the first changes the other's surprisal."""
    torch.manual_seed(1)
    shape = kit.shape_of(model)
    sample = torch.randint(num_levels, (1, *shape)) * (2 / (num_levels - 1)) - 1.0
    sample = sample.double()
    places = in_order(torch.arange(sample.numel()).view(1, *shape))[0]
    changed = sample.repeat(len(places), *[1] * len(shape))
    flat = changed.flatten(1)
    for position, place in enumerate(places):
        flat[position, place] = torch.where(flat[position, place] > 0, -1.0, 1.0)
    return elementwise_nll(model, changed) != elementwise_nll(model, sample)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_the_future_is_not_seen(name, channels, training):
    reaches = dependence(small(name, channels).train(training))
    assert not reaches.tril(diagonal=-1).any()
    assert reaches.diagonal().all(), "each position has its own probability"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_the_past_is_seen(name, channels):
    model = small(name, channels).eval()
    reaches = dependence(model)
    expected = torch.ones_like(reaches).triu()
    own = import_module(f"tests.zoo.autoregressive.test_{name}")
    if hasattr(own, "sees"):
        expected &= own.sees(model)
    assert torch.equal(reaches, expected)


@pytest.mark.parametrize("name", MODELS)
def test_the_probabilities_of_all_samples_sum_to_one(name):
    """Of 2 x 2 pixels at 3 levels, or of 4 values at 3."""
    model = small(name, size=2, num_levels=3).eval()
    shape = kit.shape_of(model)
    every = torch.tensor(list(product([-1.0, 0.0, 1.0], repeat=4)), dtype=torch.float64)
    nll = model.nll({model.needs[0]: every.view(-1, *shape)})
    assert (-nll).exp().sum().item() == pytest.approx(1, abs=1e-9)
