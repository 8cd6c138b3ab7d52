"""The pyramid of Denton et al. 2015, section 2.2, and the layers of its networks."""

import pytest
import torch

from zoo.networks.lapgan import (
    BaseDiscriminator,
    BaseGenerator,
    Discriminator,
    Generator,
    doubled,
    halved,
    pyramid,
    reconstructed,
)

SHAPES = [(1, 8, 1), (1, 8, 3), (1, 28, 2), (3, 32, 2), (3, 32, 0)]


def images(count, channels, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(count, channels, size, size, generator=generator) - 1


@pytest.mark.parametrize(("channels", "size", "levels"), SHAPES)
def test_a_pyramid_reconstructs_its_images(channels, size, levels):
    real = images(5, channels, size)
    parts = pyramid(real, levels)
    assert [len(residual[0, 0]) for residual, _ in parts] == [
        size // 2**k for k in range(levels + 1)
    ]
    again = reconstructed([residual for residual, _ in parts])
    torch.testing.assert_close(again, real, rtol=0, atol=1e-6)


def test_a_level_is_the_residual_of_the_image_half_as_large():
    real = images(2, 1, 8)
    (h0, l0), (h1, l1), (h2, l2) = pyramid(real, 2)
    torch.testing.assert_close(l0, doubled(halved(real)))
    torch.testing.assert_close(h0, real - doubled(halved(real)))
    torch.testing.assert_close(l1, doubled(halved(halved(real))))
    torch.testing.assert_close(h1 + l1, halved(real))
    torch.testing.assert_close(h2, halved(halved(real)))
    assert not l2.any()


def test_halving_and_doubling_by_hand():
    """Means of 2x2 pixels; a pixel is 3/4 of the nearest and 1/4 of the next, the rim repeats."""
    square = torch.tensor([[1.0, 3.0], [5.0, 7.0]])[None, None]
    assert halved(square).item() == 4
    row = torch.tensor([0.0, 4.0]).expand(1, 1, 2, 2)
    expected = torch.tensor([0.0, 1.0, 3.0, 4.0]).expand(1, 1, 4, 4)
    torch.testing.assert_close(doubled(row), expected)


def test_without_residuals_there_is_only_the_enlarged_image():
    coarsest = images(3, 1, 4)
    enlarged = reconstructed([torch.zeros(3, 1, 16, 16), torch.zeros(3, 1, 8, 8), coarsest])
    assert torch.equal(enlarged, doubled(doubled(coarsest)))


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
