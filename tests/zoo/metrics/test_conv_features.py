"""The features of convolutional layers, by hand."""

import pytest
import torch
from torch import nn

from tests import kit
from zoo.config.errors import UserError
from zoo.metrics.conv_features import conv_features
from zoo.networks import dcgan


def convolution(weight, **settings):
    weight = torch.as_tensor(weight, dtype=torch.float32)
    out_channels, in_channels, size, _ = weight.shape
    layer = nn.Conv2d(in_channels, out_channels, size, bias=False, **settings)
    layer.weight.data = weight
    return layer


def by_hand():
    """1x8x8: x and -x, leaky; then of each quarter the first of both, leaky; then a logit."""
    corner = torch.zeros(2, 2, 4, 4)
    corner[0, 0, 0, 0] = corner[1, 1, 0, 0] = 1
    layers = [
        convolution([[[[1]]], [[[-1]]]]),
        nn.LeakyReLU(0.5, inplace=True),
        convolution(corner, stride=4),
        nn.LeakyReLU(0.5, inplace=True),
    ]
    return nn.Sequential(*layers, nn.Conv2d(2, 1, 2), nn.Flatten(0))


def test_features_by_hand():
    """Maxima of the 2x2 windows of a ramp 0..63 are its odd rows and columns; of -x, even ones."""
    ramp = torch.arange(64.0).view(1, 1, 8, 8)
    first = [*ramp[0, 0, 1::2, 1::2].flatten(), *(-0.5 * ramp[0, 0, ::2, ::2].flatten())]
    second = [0, 4, 32, 36, *(-0.25 * torch.tensor([0, 4, 32, 36]))]
    expected = torch.tensor([*first, *second])
    assert torch.equal(conv_features(by_hand(), ramp), expected[None])


def test_the_number_of_features_is_the_authors_on_svhn():
    network = dcgan.discriminator(32, 3, 64)
    assert conv_features(network, torch.zeros(2, 3, 32, 32)).shape == (2, (64 + 128 + 256) * 16)


class Residual(nn.Module):
    """An activation of a sum, and a function in place, which are no representation of a layer."""

    def __init__(self):
        super().__init__()
        self.conv = convolution([[[[1]]], [[[-1]]]])
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images):
        maps = self.conv(images)
        total = self.relu(maps + 1)
        return total + maps.mul_(7)


def test_what_comes_after_a_layer_does_not_change_its_features():
    features = conv_features(Residual(), torch.full((1, 1, 2, 2), 3.0))
    assert features.tolist() == [[3.0] * 4 + [-3.0] * 4]


def test_the_network_is_in_eval_mode_and_left_as_it_was():
    torch.manual_seed(0)
    network = dcgan.discriminator(8, 1, 4)
    network[0].eval()
    before, modes = kit.weights(network), [module.training for module in network.modules()]
    images = torch.randn(5, 1, 8, 8)
    one, other = (conv_features(network, images, batch_size=size) for size in (5, 2))
    assert torch.allclose(one, other, atol=1e-6)  # batch norm in train mode would couple the batch
    assert not one.requires_grad
    kit.assert_same(kit.weights(network), before)
    assert [module.training for module in network.modules()] == modes
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    "network", [nn.Linear(4, 1), nn.Conv2d(1, 1, 2), dcgan.generator(8, 1, 4, 4)]
)
def test_a_network_without_representations_is_refused(network):
    with pytest.raises(UserError, match="no convolutional layers"):
        conv_features(network, torch.zeros(1, 1, 2, 2))


class FixedConv(nn.Conv2d):
    """A convolution whose weight is a buffer."""

    def __init__(self, weight):
        super().__init__(1, 2, 1, bias=False)
        del self.weight
        self.register_buffer("weight", weight)


def test_a_network_without_parameters_has_features():
    network = FixedConv(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
    features = conv_features(network, torch.ones(3, 1, 8, 8))
    assert torch.equal(features, torch.tensor([1.0] * 16 + [-1.0] * 16).expand(3, -1))
