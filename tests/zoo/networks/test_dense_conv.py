"""Products of matrices are the convolutions that they stand for."""

import copy

import pytest
import torch
from torch import nn

from zoo.networks.dense_conv import ConvTo1x1, ConvTransposeFrom1x1
from zoo.networks.spectral_norm import add_spectral_norm_

SHAPES = {ConvTransposeFrom1x1: (3, 5, 1, 1), ConvTo1x1: (3, 5, 4, 4)}  # (N, inputs, H, W)


def pair(kind, bias):
    """One of the layers and the convolution of the same weights, float64."""
    torch.manual_seed(0)
    parent = kind.__mro__[1]
    layer, plain = kind(5, 6, 4, bias=bias).double(), parent(5, 6, 4, bias=bias).double()
    assert parent in (nn.Conv2d, nn.ConvTranspose2d)
    plain.load_state_dict(layer.state_dict())
    return layer, plain


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_those_of_the_convolution(kind, bias, layout):
    outcomes, inputs = [], torch.randn(SHAPES[kind], dtype=torch.float64)
    for layer in pair(kind, bias):
        given = inputs.contiguous(memory_format=layout).requires_grad_()
        outputs = layer(given)
        (first,) = torch.autograd.grad(outputs.square().sum(), given, create_graph=True)
        first.square().sum().backward()  # twice, as a penalty does
        outcomes.append((outputs, first, *(p.grad for p in layer.parameters())))
    for ours, plain in zip(*outcomes, strict=True):
        torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("kind", SHAPES)
def test_they_are_normalized_as_the_convolution_is(kind):
    inputs = torch.randn(SHAPES[kind], dtype=torch.float64)
    outputs = []
    for layer in pair(kind, False):
        torch.manual_seed(1)
        layer = copy.deepcopy(add_spectral_norm_(layer))
        outputs.append(torch.stack([layer(inputs) for _ in range(3)]))  # a power iteration each
    torch.testing.assert_close(*outputs)


@pytest.mark.parametrize("kind", SHAPES)
def test_autocast_makes_them_bfloat16(kind):
    layer = kind(5, 6, 4, bias=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(torch.randn(SHAPES[kind])).dtype == torch.bfloat16
