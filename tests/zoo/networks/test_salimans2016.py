"""The layer tables of the authors' networks (their code for MNIST, CIFAR-10 and SVHN)."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from zoo.networks.salimans2016 import (
    conv_discriminator,
    conv_generator,
    mlp_discriminator,
    mlp_generator,
)
from zoo.networks.salimans2016_layers import (
    GaussianNoise,
    MinibatchDiscrimination,
    VirtualBatchNorm,
    init_from_data_,
)


def linear_maps(network):
    kinds = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
    return [module for module in network.modules() if isinstance(module, kinds)]


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_mnist_generator():
    network = mlp_generator(28, 1, 100, 500)
    assert [tuple(m.weight.shape) for m in linear_maps(network)] == [
        (500, 100),
        (500, 500),
        (784, 500),
    ]
    # Two layers with a bias in batch norm, and the last with bias and weight norm's gain.
    assert count(network) == 100 * 500 + 500 + 500 * 500 + 500 + 500 * 784 + 784 + 784
    assert sum(isinstance(m, nn.Softplus) for m in network) == 2


def test_the_mnist_discriminator():
    network = mlp_discriminator(28, 1, 10, 1000)
    widths = [784, 1000, 500, 250, 250, 250, 10]
    shapes = [tuple(m.weight.shape) for m in linear_maps(network)]
    assert shapes == list(zip(widths[1:], widths[:-1], strict=True))
    # Weight norm's gains are learned of the last layer alone.
    assert count(network) == sum(a * b + b for a, b in pairwise(widths)) + 10
    noises = [m.sigma for m in network.modules() if isinstance(m, GaussianNoise)]
    assert noises == [0.3, 0.5, 0.5, 0.5, 0.5, 0.5]
    logits, features = network.eval()(torch.rand(3, 1, 28, 28))
    assert (logits.shape, features.shape) == ((3, 10), (3, 250))
    torch.testing.assert_close(network.head(features), logits)
    assert network.train()(torch.rand(3, 1, 28, 28))[1].min() >= 0, "features are without noise"


def test_noise_has_the_authors_size_on_images_in_the_unit_interval():
    network = mlp_discriminator(8, 1, 10, 32)
    images = 2 * torch.rand(64, 1, 8, 8) - 1
    assert torch.equal(network.trunk[0](images), (images + 1) / 2)
    noisy = network.trunk[:3](images) - network.trunk[:2](images)
    assert noisy.std().item() == pytest.approx(0.3, rel=0.05)


def test_the_cifar_generator():
    network = conv_generator(32, 3, 100, 512)
    maps = [tuple(m.weight.shape) for m in linear_maps(network)]
    assert maps == [(8192, 100), (512, 256, 5, 5), (256, 128, 5, 5), (128, 3, 5, 5)]
    weights = 819200 + 512 * 256 * 25 + 256 * 128 * 25 + 128 * 3 * 25
    assert count(network) == weights + (8192 + 256 + 128) + 2 * 3
    images = network(torch.rand(2, 100))
    assert images.shape == (2, 3, 32, 32)
    assert images.abs().max() <= 1


def test_the_cifar_discriminator():
    network = conv_discriminator(32, 3, 10, 96)
    convolutions = linear_maps(network)[:-1]
    found = [(m.out_channels, m.kernel_size[0], m.stride[0], m.padding[0]) for m in convolutions]
    narrow, wide = [(96, 3, 1, 1)] * 2 + [(96, 3, 2, 1)], [(192, 3, 1, 1)] * 2 + [(192, 3, 2, 1)]
    assert found == narrow + wide + [(192, 3, 1, 0), (192, 1, 1, 0), (192, 1, 1, 0)]
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.2, 0.5, 0.5]
    logits, features = network.eval()(torch.rand(2, 3, 32, 32))
    assert (logits.shape, features.shape) == ((2, 10), (2, 192))


def directions(network):
    """The standard deviations of the weights as they were drawn."""
    weights = [
        m.parametrizations.weight.original1 if is_parametrized(m) else m.weight
        for m in linear_maps(network)
    ]
    return [weight.std().item() for weight in weights]


def test_weights_are_initialized_as_by_the_authors():
    """N(0, 0.1²) and Glorot's for MNIST, N(0, 0.05²) in all convolutional networks."""
    mlp = directions(mlp_generator(28, 1, 100, 500))
    glorot = [(2 / (a + b)) ** 0.5 for a, b in ((100, 500), (500, 500), (500, 784))]
    assert mlp == pytest.approx(glorot, rel=0.02)
    assert directions(mlp_discriminator(28, 1, 10, 1000)) == pytest.approx([0.1] * 6, rel=0.03)
    for network in (conv_generator(32, 3, 100, 512), conv_discriminator(32, 3, 10, 96)):
        found = directions(network)
        assert found == pytest.approx([0.05] * len(found), rel=0.03)


def test_data_bring_logits_and_images_to_a_tenth_in_the_convolutional_networks():
    generator, discriminator = conv_generator(32, 3, 10, 32), conv_discriminator(32, 3, 10, 8)
    images, before = [], []
    generator[-2].register_forward_hook(lambda _, __, outputs: before.append(outputs))
    init_from_data_(generator, torch.rand(60, 10))
    images = generator(torch.rand(60, 10))
    assert before[-1].std(dim=(0, 2, 3)).tolist() == pytest.approx([0.1] * 3, rel=0.1)
    assert images.std().item() == pytest.approx(0.1, rel=0.1)
    torch.manual_seed(0)
    init_from_data_(discriminator, images)
    torch.manual_seed(0)
    logits, _ = discriminator.train()(images)
    assert logits.std(dim=0, correction=0).tolist() == pytest.approx([0.1] * 10, rel=1e-3)


def test_the_mnist_generators_images_are_not_settled():
    network = mlp_generator(8, 1, 10, 32)
    init_from_data_(network, torch.rand(60, 10))
    gain = network[-3].parametrizations.weight.original0
    assert torch.equal(gain, torch.ones_like(gain))


@pytest.mark.parametrize("make", [mlp_discriminator, conv_discriminator])
def test_minibatch_discrimination_precedes_the_logits(make):
    network = make(32, 3, 10, 8, kernels=6)
    (layer,) = [m for m in network.modules() if isinstance(m, MinibatchDiscrimination)]
    images = torch.rand(5, 3, 32, 32)
    logits, features = network.eval()(images)
    assert layer(features).shape[1] == features.shape[1] + 6 == network.head[-1].in_features
    mates = torch.cat([images[:1], -images[1:]])
    assert not torch.allclose(network(mates)[0][0], logits[0]), "it sees its batch"
    plain = make(32, 3, 10, 8).eval()
    torch.testing.assert_close(plain(mates)[0][0], plain(images)[0][0])


@pytest.mark.parametrize("make", [mlp_generator, conv_generator])
def test_virtual_batch_norm_replaces_batch_norm(make):
    network = make(32, 3, 7, 16, reference=4)
    kinds = [type(module) for module in network.modules()]
    assert VirtualBatchNorm in kinds
    assert not {nn.BatchNorm1d, nn.BatchNorm2d} & set(kinds)
