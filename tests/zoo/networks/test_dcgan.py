"""The networks of Radford et al. 2015: sizes, parameter counts, initialisation."""

import pytest
import torch
from torch import nn

from zoo.networks import dcgan


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameter_counts_at_64_are_those_of_the_paper_layer_by_layer():
    # Figure 1 and the authors' code: kernels of 4x4 without biases, batch norm's gain and bias.
    up = [100 * 512, 512 * 256, 256 * 128, 128 * 64, 64 * 3]
    generator = 16 * sum(up) + 2 * (512 + 256 + 128 + 64)
    down = [3 * 64, 64 * 128, 128 * 256, 256 * 512, 512 * 1]
    discriminator = 16 * sum(down) + 2 * (128 + 256 + 512)
    assert (generator, discriminator) == (3_576_704, 2_765_568)
    assert parameters(dcgan.generator(64, 3, latent_dim=100, width=64)) == generator
    assert parameters(dcgan.discriminator(64, 3, width=64)) == discriminator


@pytest.mark.parametrize("size", [8, 16, 28, 32, 48, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_and_channel_count(size, channels):
    images = dcgan.generator(size, channels, latent_dim=5, width=4)(torch.randn(2, 5))
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1
    assert dcgan.discriminator(size, channels, width=4)(images).shape == (2,)


@pytest.mark.parametrize("size", [7, 9, 30, 31, 100])
def test_an_impossible_size_names_the_nearest(size):
    with pytest.raises(ValueError, match=rf"size {size}: .* Nearest: "):
        dcgan.generator(size, 1, latent_dim=5, width=4)


def test_nearest_sizes():
    with pytest.raises(ValueError, match="Nearest: 28, 32, 40"):
        dcgan.stages(33)


def test_initialisation():
    torch.manual_seed(0)
    network = dcgan.generator(64, 3, latent_dim=100, width=64)
    convolution = next(m for m in network if isinstance(m, nn.ConvTranspose2d))
    norm = next(m for m in network if isinstance(m, nn.BatchNorm2d))
    assert convolution.weight.std().item() == pytest.approx(0.02, rel=0.01)
    assert norm.weight.mean().item() == pytest.approx(1, abs=0.005)
    assert norm.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert not norm.bias.any()


def test_no_norm_at_the_image_and_an_unbounded_score():
    generator = dcgan.generator(32, 3, latent_dim=5, width=4)
    critic = dcgan.discriminator(32, 3, width=4)
    assert isinstance(generator[-2], nn.ConvTranspose2d)
    assert isinstance(critic[1], nn.LeakyReLU)
    assert not any(isinstance(module, nn.Sigmoid) for module in critic)


def test_batch_norm_switch():
    with_norm = dcgan.discriminator(32, 3, width=4)
    without = dcgan.discriminator(32, 3, width=4, batch_norm=False)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in with_norm) == 2
    assert not any(isinstance(m, nn.BatchNorm2d) for m in without)
