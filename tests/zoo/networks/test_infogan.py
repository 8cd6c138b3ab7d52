"""The networks of Chen et al. 2016 for MNIST: layers, parameter counts, initialization."""

import pytest
import torch
from torch import nn

from zoo.networks import infogan


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameter_counts_on_mnist_are_those_of_the_paper_layer_by_layer():
    # Table 1: fully connected 1024, 7x7x128, kernels of 4x4; batch norm's gain and bias.
    linear = 74 * 1024 + 2 * 1024 + 1024 * 6272 + 2 * 6272
    generator = linear + 128 * 64 * 16 + 2 * 64 + 64 * 16 + 1
    convolutions = 64 * 16 + 64 + 64 * 128 * 16 + 2 * 128
    discriminator = convolutions + 6272 * 1024 + 2 * 1024 + 1024 + 1
    assert (generator, discriminator) == (6_645_121, 6_558_017)
    assert parameters(infogan.generator(28, 1, latent_dim=74, width=64)) == generator
    assert parameters(infogan.discriminator(28, 1, width=64)) == discriminator


@pytest.mark.parametrize("size", [8, 16, 28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_and_channel_count(size, channels):
    images = infogan.generator(size, channels, latent_dim=5, width=2)(torch.randn(2, 5))
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1
    assert infogan.discriminator(size, channels, width=2)(images).shape == (2,)


def test_initialisation():
    torch.manual_seed(0)
    network = infogan.discriminator(28, 1, width=32)
    for kind in (nn.Linear, nn.Conv2d):
        layer = [m for m in network if isinstance(m, kind)][-1 if kind is nn.Conv2d else 0]
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02)
    norm = next(m for m in network if isinstance(m, nn.BatchNorm1d))
    assert norm.weight.mean().item() == pytest.approx(1, abs=0.005)
    assert norm.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert not network[-2].bias.any()


def test_no_norm_at_the_images_and_none_at_all_where_it_is_switched_off():
    generator = infogan.generator(32, 3, latent_dim=5, width=2)
    network = infogan.discriminator(32, 3, width=2)
    assert isinstance(generator[-2], nn.ConvTranspose2d)
    assert isinstance(network[1], nn.LeakyReLU)
    assert sum("BatchNorm" in type(m).__name__ for m in network) == 3
    plain = infogan.discriminator(32, 3, width=2, norm=False)
    assert not any("BatchNorm" in type(m).__name__ for m in plain)
    assert all(m.bias is not None for m in plain if isinstance(m, nn.Conv2d | nn.Linear))


def test_the_leak_is_the_papers():
    network = infogan.discriminator(8, 1, width=2)
    assert {m.negative_slope for m in network if isinstance(m, nn.LeakyReLU)} == {0.1}
