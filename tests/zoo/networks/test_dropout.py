"""Dropout is torch's, but for how its masks are drawn."""

import pytest
import torch
from torch import nn

from zoo.networks.dropout import Dropout


@pytest.mark.parametrize("p", [0.05, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_share_is_dropped_and_the_rest_keeps_the_mean(p, dtype):
    torch.manual_seed(0)
    dropped = Dropout(p)(torch.full((100, 40, 5, 5), 3.0, dtype=dtype))
    assert dropped.dtype == dtype
    assert dropped.unique().tolist() == pytest.approx([0, 3 / (1 - p)], rel=5e-3)
    assert (dropped == 0).float().mean().item() == pytest.approx(p, abs=0.0015)
    rows = (dropped == 0).float().flatten(1)
    assert rows.mean(dim=1).std() < 0.03, "each image has a mask of its own"
    assert not torch.equal(rows[0], rows[1])


def test_a_gradient_goes_where_the_values_went():
    inputs = torch.ones(10, 10, requires_grad=True)
    dropped = Dropout(0.5)(inputs)
    dropped.sum().backward()
    assert torch.equal(inputs.grad, dropped.detach())


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_all_or_nothing_is_torchs(p):
    inputs = torch.randn(4, 4)
    assert torch.equal(Dropout(p)(inputs), nn.Dropout(p)(inputs))


def test_nothing_is_dropped_outside_of_training_unless_it_is_asked_for():
    inputs = torch.randn(4, 4)
    assert torch.equal(Dropout().eval()(inputs), inputs)
    assert not torch.equal(Dropout(at_test=True).eval()(inputs), inputs)
    with pytest.raises(ValueError, match="probability"):
        Dropout(1.5)
