"""Pairs of networks by name: the same two functions, each usable by each model."""

import pytest
import torch

from zoo import networks

NAMES = ("dcgan", "dcgan_no_norm", "mlp", "resnet")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (1, 28), (3, 32)])
def test_a_pair_fits_together(name, channels, size):
    pair = networks.by_name(name)
    images = pair.generator(size, channels, 5, 4)(torch.randn(3, 5))
    assert images.shape == (3, channels, size, size)
    assert images.abs().max() <= 1
    for norm in (False, True):
        assert pair.discriminator(size, channels, 4, norm)(images).shape == (3,)


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(ValueError, match=r"model.network=vgg: choose one of .*dcgan, .*mlp"):
        networks.by_name("vgg")


def test_the_plain_ones_have_no_batch_norm():
    pair = networks.by_name("dcgan_no_norm")
    for network in (pair.generator(8, 1, 5, 4), pair.discriminator(8, 1, 4, norm=True)):
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())
