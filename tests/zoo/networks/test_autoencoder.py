import pytest
import torch
from torch import nn

from zoo.networks.autoencoder import Decoder, Encoder


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (1, 28), (3, 32)])
def test_shapes(network, channels, size):
    encoder = Encoder(network, size, channels, 5, 4, condition=3)
    decoder = Decoder(network, size, 2 * channels, 5, 4, condition=3)
    code = encoder(torch.rand(2, channels, size, size), torch.rand(2, 3))
    assert code.shape == (2, 5)
    assert decoder(code, torch.rand(2, 3)).shape == (2, 2 * channels, size, size)


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_the_condition_reaches_both(network):
    encoder, decoder = (
        Encoder(network, 8, 1, 5, 4, condition=3),
        Decoder(network, 8, 1, 5, 4, condition=3),
    )
    given = torch.rand(2, 3, requires_grad=True)
    for outputs in (encoder(torch.rand(2, 1, 8, 8), given), decoder(torch.rand(2, 5), given)):
        (gradient,) = torch.autograd.grad(outputs.sum(), given)
        assert gradient.all()


def test_the_convolutions_double_towards_the_code():
    maps = [
        m.out_channels for m in Encoder("conv", 32, 3, 5, 4).modules() if isinstance(m, nn.Conv2d)
    ]
    assert maps == [4, 8, 16]
    layers = Decoder("conv", 32, 3, 5, 4).modules()
    maps = [m.out_channels for m in layers if isinstance(m, nn.ConvTranspose2d)]
    assert maps == [8, 4, 3]


@pytest.mark.parametrize("coder", [Encoder, Decoder])
def test_another_network_is_refused(coder):
    with pytest.raises(ValueError, match=r"model\.network=resnet: choose one of mlp, conv"):
        coder("resnet", 8, 1, 5, 4)
