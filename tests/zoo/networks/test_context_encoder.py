"""The layers of Pathak et al. 2016 and of the authors' code."""

import pytest
import torch
from torch import nn

from zoo.networks import context_encoder as context
from zoo.networks.context_encoder import ChannelWise


def convolutions(network):
    """(before, after) of each convolution."""
    kinds = nn.Conv2d | nn.ConvTranspose2d
    return [(m.in_channels, m.out_channels) for m in network.modules() if isinstance(m, kinds)]


def test_a_channel_wise_layer_has_m_n4_weights():
    """331,776 for the paper's 6x6x256, where a fully connected one has 85 million."""
    layer = ChannelWise(256, 6)
    assert sum(p.numel() for p in layer.parameters()) == 256 * 6**4 == 331_776


def test_a_channel_wise_layer_joins_all_places_of_a_map_and_no_two_maps():
    torch.manual_seed(0)
    layer = ChannelWise(3, 2)
    jacobian = torch.autograd.functional.jacobian(layer, torch.randn(1, 3, 2, 2))
    jacobian = jacobian.view(3, 4, 3, 4)
    for out in range(3):
        for given in range(3):
            block = jacobian[out, :, given]
            assert block.ne(0).all() if out == given else not block.any()
            if out == given:
                assert torch.equal(block, layer.weight[out].T)


def test_the_authors_layers_for_128_pixels():
    encoder = context.encoder(128, 3, 64, 4000)
    narrowing = [(3, 64), (64, 64), (64, 128), (128, 256), (256, 512)]
    assert convolutions(encoder) == [*narrowing, (512, 4000)]
    decoder = context.decoder(128, 3, 64, 4000, half=True)
    widening = [(4000, 512), (512, 256), (256, 128), (128, 64)]
    assert convolutions(decoder) == [*widening, (64, 3)]
    whole = context.decoder(128, 3, 64, 4000, half=False)
    assert convolutions(whole) == [*widening, (64, 64), (64, 3)]
    of_patches = context.discriminator(128, 3, 64, half=True)
    assert convolutions(of_patches) == [(3, 64), (64, 128), (128, 256), (256, 512), (512, 1)]
    of_images = context.discriminator(128, 3, 64, half=False)
    assert convolutions(of_images) == [*narrowing, (512, 1)]


@pytest.mark.parametrize("bottleneck", [0, 5])
@pytest.mark.parametrize("size", [8, 24, 28, 32])
def test_codes_become_images_of_the_whole_or_the_half_side(size, bottleneck):
    images = torch.randn(2, 1, size, size)
    code = context.encoder(size, 1, 2, bottleneck)(images)
    if bottleneck:
        assert code.shape == (2, bottleneck, 1, 1)
    for half in (False, True):
        made = context.decoder(size, 1, 2, bottleneck, half)(code)
        side = size // 2 if half else size
        assert made.shape == (2, 1, side, side)
        assert context.discriminator(size, 1, 2, half)(made).shape == (2,)


def test_batch_norm_is_everywhere_but_at_the_ends():
    def norms(network):
        return sum(isinstance(m, nn.BatchNorm2d) for m in network)

    assert norms(context.encoder(128, 3, 2, 4)) == 5
    assert norms(context.decoder(128, 3, 2, 4, half=True)) == 4
    assert norms(context.discriminator(128, 3, 2, half=True)) == 3
