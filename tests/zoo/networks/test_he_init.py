"""Activations that keep their scale in a deep network."""

import pytest
import torch
from torch import nn

from zoo.networks.he_init import init_he_


@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
def test_the_scale_of_activations_is_kept_through_many_layers(slope):
    torch.manual_seed(0)
    layers = [m for _ in range(10) for m in (nn.Linear(256, 256), nn.LeakyReLU(slope))]
    network = nn.Sequential(*layers, nn.Linear(256, 256))
    init_he_(network, slope)
    x = torch.randn(512, 256)
    with torch.no_grad():
        assert 0.4 < network(x).square().mean().item() < 2.5  # PyTorch's default: below 1e-4


def test_the_variance_of_weights_follows_their_inputs():
    torch.manual_seed(0)
    convolution, last = nn.Conv2d(8, 200, 5), nn.Linear(400, 300)
    init_he_(nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), last))
    assert convolution.weight.var().item() == pytest.approx(2 / (8 * 25), rel=0.05)
    assert last.weight.var().item() == pytest.approx(1 / 400, rel=0.05)
    assert not convolution.bias.any()
    assert not last.bias.any()
