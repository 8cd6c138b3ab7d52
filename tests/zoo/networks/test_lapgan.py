"""The layers of the networks of Denton et al. 2015."""

import pytest
import torch

from zoo.networks.lapgan import (
    BaseDiscriminator,
    BaseGenerator,
    Discriminator,
    Generator,
)


def images(count, channels, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(count, channels, size, size, generator=generator) - 1


@pytest.mark.parametrize("size", [4, 8, 14, 32])
def test_discriminators_see_the_sum_of_residual_and_coarse_image(size):
    """D(h, l) = D(h + d, l - d), and not D(h, 0)."""
    h, low, d = (images(6, 1, size, seed) for seed in range(3))
    label = torch.arange(6)
    for judge in (Discriminator(size, 1, 10, 8, 0.0), BaseDiscriminator(size, 1, 10, 8, 0.0)):
        torch.testing.assert_close(judge(h + d, low - d, label), judge(h, low, label))
        assert not torch.allclose(judge(h, 0 * low, label), judge(h, low, label), atol=1e-4)


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        (Generator, (8, 1, 10, 8)),
        (Discriminator, (8, 1, 10, 8, 0.0)),
        (BaseGenerator, (8, 1, 10, 64, 8)),
        (BaseDiscriminator, (8, 1, 10, 8, 0.0)),
    ],
)
def test_labels_matter_and_their_weights_learn(network, settings):
    torch.manual_seed(0)
    player = network(*settings)
    first = images(4, 1, 8)
    if isinstance(player, Generator | BaseGenerator):
        first = first.flatten(1)
    low, label = images(4, 1, 8, 1), torch.tensor([0, 1, 2, 3])
    out = player(first, low, label)
    assert not torch.allclose(out, player(first, low, label.flip(0)), atol=1e-4)
    out.square().sum().backward()
    if hasattr(player, "plane"):
        by_class = player.plane.linear.weight.grad  # (HW, K)
    else:
        by_class = player.layers[0].weight.grad[:, -10:]
    assert by_class[:, :4].abs().sum(0).all()
    assert not by_class[:, 4:].any(), "classes that were not there"


def test_the_layers_of_the_authors_refinement_of_cifar10():
    """train_cifar_coarse_to_fine_classcond.lua: 5 and 4 planes in, 28x28 and 12x12 maps."""

    def convolution(before, after, kernel):
        return before * after * kernel**2 + after

    plane = 10 * 32**2 + 32**2
    expected = plane + convolution(5, 64, 7) + convolution(64, 64, 7) + convolution(64, 3, 5)
    assert count(Generator(32, 3, 10, 64)) == expected
    expected = plane + convolution(4, 64, 5) + convolution(64, 64, 5) + 64 * 12**2 + 1
    assert count(Discriminator(32, 3, 10, 64, 0.5)) == expected
    padding = [layer.padding for layer in Discriminator(32, 3, 10, 64, 0.5).layers[:3:2]]
    assert padding == [(0, 0), (0, 0)]


def test_the_layers_of_the_papers_base_of_cifar10():
    """Two hidden layers of 1200 units in G and of 600 in D, with the class beside their input."""
    pixels = 3 * 8**2
    expected = 110 * 1200 + 1200 + 1200 * 1200 + 1200 + 1200 * pixels + pixels
    assert count(BaseGenerator(8, 3, 10, 100, 1200)) == expected
    expected = (pixels + 10) * 600 + 600 + 600 * 600 + 600 + 600 + 1
    assert count(BaseDiscriminator(8, 3, 10, 600, 0.5)) == expected


def test_dropout_is_in_the_discriminators_in_training_alone():
    for judge in (Discriminator(8, 1, 10, 8, 0.5), BaseDiscriminator(8, 1, 10, 64, 0.5)):
        inputs = images(4, 1, 8), images(4, 1, 8, 1), torch.arange(4)
        assert not torch.equal(judge.train()(*inputs), judge(*inputs))
        assert torch.equal(judge.eval()(*inputs), judge(*inputs))


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())
