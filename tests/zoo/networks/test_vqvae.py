import pytest
import torch

from zoo.networks.vqvae import ResidualBlock, decoder, encoder


@pytest.mark.parametrize(("halvings", "size"), [(1, 8), (2, 28), (3, 24)])
def test_maps_are_halved_and_doubled(halvings, size):
    vectors = encoder(3, 5, 4, halvings, 1)(torch.rand(2, 3, size, size))
    assert vectors.shape == (2, 5, size // 2**halvings, size // 2**halvings)
    assert decoder(5, 3, 4, halvings, 1)(vectors).shape == (2, 3, size, size)


def test_a_block_adds_to_its_input_and_leaves_it():
    block, maps = ResidualBlock(4), torch.randn(2, 4, 5, 5)
    before = maps.clone()
    outputs = block(maps)
    assert torch.equal(maps, before)
    block.layers[-1].weight.data.zero_()
    block.layers[-1].bias.data.zero_()
    assert torch.equal(block(maps), maps)
    assert not torch.equal(outputs, maps)


def test_outputs_of_the_decoder_are_float32_in_mixed_precision():
    with torch.autocast("cpu", torch.bfloat16):
        assert decoder(5, 1, 4, 1, 1)(torch.rand(2, 5, 4, 4)).dtype == torch.float32
