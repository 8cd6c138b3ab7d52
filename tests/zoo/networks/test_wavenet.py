"""WaveNet's layers, see tests/zoo/autoregressive/test_wavenet.py for the networks they make."""

import torch
from torch.nn.functional import linear

from zoo.networks.wavenet import DilatedConvs


def test_the_product_of_all_skips_is_their_sum():
    torch.manual_seed(0)
    network = DilatedConvs(torch.nn.Embedding(4, 3), 3, 5, layers=2, blocks=2, outputs=4)
    gated = [torch.randn(2, 6, 3) for _ in network.layers]
    summed = sum(layer.skip(values) for layer, values in zip(network.layers, gated, strict=True))
    product = linear(torch.cat(gated, dim=-1), *network.skips())
    torch.testing.assert_close(product, summed)
