"""The networks of Radford et al. 2015: sizes, parameter counts, initialization."""

import pytest
import torch
from torch import nn

from zoo.networks import dcgan
from zoo.networks.dense_conv import ConvTo1x1, ConvTransposeFrom1x1


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


def shapes(network, inputs):
    """(C, H) after each convolution of a network."""
    found = []
    for layer in network:
        inputs = layer(inputs)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            found.append(tuple(inputs.shape[1:3]))
    return found


@pytest.mark.parametrize(
    ("size", "table"),
    [
        (64, [(512, 4), (256, 8), (128, 16), (64, 32), (3, 64)]),  # Figure 1, at half its width
        (32, [(256, 4), (128, 8), (64, 16), (3, 32)]),
        (28, [(128, 7), (64, 14), (3, 28)]),
        (8, [(128, 2), (64, 4), (3, 8)]),
    ],
)
def test_the_layers_of_one_player_are_those_of_the_other_backwards(size, table):
    assert shapes(dcgan.generator(size, 3, latent_dim=100, width=64), torch.randn(2, 100)) == table
    down = [*table[-2::-1], (1, 1)]
    images = torch.randn(2, 3, size, size)
    assert shapes(dcgan.discriminator(size, 3, width=64), images) == down


def test_convolutions_have_no_biases_and_activations_are_the_papers():
    generator = dcgan.generator(32, 3, latent_dim=5, width=4)
    discriminator = dcgan.discriminator(32, 3, width=4)
    convolutions = [m for n in (generator, discriminator) for m in n if hasattr(m, "kernel_size")]
    assert all(m.bias is None and m.kernel_size == (4, 4) for m in convolutions)
    then, up = (nn.BatchNorm2d, nn.ReLU), nn.ConvTranspose2d
    assert [type(m) for m in generator] == [
        *(nn.Unflatten, ConvTransposeFrom1x1, *then, up, *then, up, *then, up, nn.Tanh)
    ]
    down = [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU]
    assert [type(m) for m in discriminator] == [
        *(nn.Conv2d, nn.LeakyReLU, *down, *down, ConvTo1x1, nn.Flatten)
    ]
    assert {m.negative_slope for m in discriminator if isinstance(m, nn.LeakyReLU)} == {0.2}


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_initialisation(player):
    torch.manual_seed(0)
    given = {"latent_dim": 100} if player == "generator" else {}
    network = getattr(dcgan, player)(64, 3, width=64, **given)
    convolutions = [m for m in network if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convolutions) == 5
    for convolution in convolutions:
        assert convolution.weight.std().item() == pytest.approx(0.02, abs=0.002)
        assert convolution.weight.mean().item() == pytest.approx(0, abs=0.002)
    for norm in (m for m in network if isinstance(m, nn.BatchNorm2d)):
        assert norm.weight.mean().item() == pytest.approx(1, abs=0.01)
        assert norm.weight.std().item() == pytest.approx(0.02, rel=0.25)
        assert not norm.bias.any()
        assert norm.eps == 1e-5


def test_batch_norm_switch():
    with_norm = dcgan.discriminator(32, 3, width=4)
    without = dcgan.discriminator(32, 3, width=4, norm=False)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in with_norm) == 2
    assert not any(isinstance(m, nn.BatchNorm2d) for m in without)
