import pytest
import torch
from torch import nn

from zoo.networks.text_to_image import Discriminator, Generator, Residual


def channels(network, kind):
    return [m.out_channels for m in network.modules() if isinstance(m, kind)]


def test_the_generator_is_the_authors():
    network = Generator(64, 3, 100, 1024, 128, 128)
    assert network.text[0].weight.shape == (128, 1024)
    assert channels(network, nn.ConvTranspose2d) == [1024, 512, 256, 128, 3]
    assert channels(network, nn.Conv2d) == [256, 256, 1024, 128, 128, 512]
    assert network.image[1].weight.shape == (228, 1024, 4, 4)
    kinds = [type(layer) for layer in network.image]
    assert [kinds[place + 3] is Residual for place in (0, 3)] == [True, True]


def test_the_discriminator_is_the_authors():
    network = Discriminator(64, 3, 1024, 128, 64)
    assert channels(network, nn.Conv2d) == [64, 128, 256, 512, 128, 128, 512, 512, 1]
    assert network.both[0].weight.shape == (512, 640, 1, 1)
    assert network.both[-2].weight.shape == (1, 512, 4, 4)
    norms = [m.num_features for m in network.image.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms == [128, 256, 512, 128, 128, 512], "none on the image"


@pytest.mark.parametrize("size", [8, 16, 28, 32])
def test_other_sizes(size):
    generator, discriminator = Generator(size, 1, 3, 5, 4, 8), Discriminator(size, 1, 5, 4, 8)
    images = generator(torch.randn(2, 3), torch.randn(2, 5))
    assert images.shape == (2, 1, size, size)
    assert discriminator(images, torch.randn(2, 5)).shape == (2,)


def test_both_hear_of_the_text():
    torch.manual_seed(0)
    generator, discriminator = Generator(8, 1, 3, 5, 4, 8), Discriminator(8, 1, 5, 4, 8)
    latent, embedding = torch.randn(4, 3), torch.randn(4, 5, requires_grad=True)
    generator(latent, embedding).square().sum().backward()
    assert embedding.grad.abs().sum() > 0
    embedding.grad = None
    discriminator(torch.rand(4, 1, 8, 8), embedding).square().sum().backward()
    assert embedding.grad.abs().sum() > 0


def test_a_residual_block_leaves_its_input_as_it_was():
    maps = torch.randn(2, 8, 4, 4)
    before = maps.clone()
    block = Residual(8, nn.ReLU())
    out = block(maps)
    assert torch.equal(maps, before)
    torch.testing.assert_close(out, (maps + block.layers(maps)).relu())
