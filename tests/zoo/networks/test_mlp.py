"""The fully connected networks: shapes, parameter counts, what is at their ends."""

import pytest
import torch
from torch import nn

from zoo.networks import mlp


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("channels", "size"), [(1, 2), (1, 8), (1, 28), (3, 32), (2, 7)])
def test_any_size_and_channel_count(channels, size):
    images = mlp.generator(size, channels, latent_dim=5, width=16)(100 * torch.randn(3, 5))
    assert images.shape == (3, channels, size, size)
    assert 0.99 < images.abs().max() <= 1
    assert mlp.discriminator(size, channels, width=16)(images).shape == (3,)


def test_parameter_counts_by_hand():
    hidden = 2 * (512 * 512 + 512)
    generator = 100 * 512 + 512 + hidden + 512 * 784 + 784
    discriminator = 784 * 512 + 512 + hidden + 512 + 1
    assert parameters(mlp.generator(28, 1, latent_dim=100, width=512)) == generator
    assert parameters(mlp.discriminator(28, 1, width=512)) == discriminator


def test_the_layers():
    generator = mlp.generator(8, 1, latent_dim=5, width=16)
    kinds = [nn.Linear, nn.ReLU] * 3 + [nn.Linear, nn.Tanh, nn.Unflatten]
    assert [type(layer) for layer in generator] == kinds
    discriminator = mlp.discriminator(8, 1, width=16)
    kinds = [nn.Flatten, *[nn.Linear, nn.LeakyReLU] * 3, nn.Linear, nn.Flatten]
    assert [type(layer) for layer in discriminator] == kinds
    assert all(m.negative_slope == 0.2 for m in discriminator if isinstance(m, nn.LeakyReLU))


def test_the_logit_is_unbounded_and_of_its_image_alone():
    discriminator = mlp.discriminator(8, 1, width=16)
    images = 1e4 * torch.randn(64, 1, 8, 8)
    logits = discriminator(images)
    assert logits.max() > 100
    assert logits.min() < -100
    torch.testing.assert_close(discriminator(images[:1]), logits[:1])
