"""The generator of Isola et al. 2017: its layers, its skips, its noise."""

import pytest
import torch
from torch import nn

from zoo.networks.unet import Dropout, UNet, count_halvings


def small(size=16, skips=True, dropout=0.5, test_dropout=True, channels=(2, 3)):
    torch.manual_seed(0)
    return UNet(size, *channels, 4, skips, dropout, test_dropout)


def source(size=16, count=4):
    return torch.randn(count, 2, size, size, generator=torch.Generator().manual_seed(0))


def test_the_papers_network():
    """C64-C128-C256-C512-C512-C512-C512-C512 and back, 54.414 million parameters."""
    network = UNet(256, 3, 3, 64, True, 0.5, True)
    down = 3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 4 * 512 * 512
    up = 512 * 512 + 3 * 1024 * 512 + 1024 * 256 + 512 * 128 + 256 * 64 + 128 * 3
    norms = 2 * (128 + 256 + 4 * 512) + 2 * (4 * 512 + 256 + 128 + 64)
    biases = 64 + 512 + 3
    count = sum(p.numel() for p in network.parameters())
    assert count == 16 * (down + up) + norms + biases == 54_414_531
    down = [layer[-2 if isinstance(layer[-1], nn.BatchNorm2d) else -1] for layer in network.encoder]
    assert [c.out_channels for c in down] == [64, 128, 256, 512, 512, 512, 512, 512]
    up = [layer[1] for layer in network.decoder]
    assert [c.in_channels for c in up] == [512, 1024, 1024, 1024, 1024, 512, 256, 128]
    assert [c.out_channels for c in up] == [512, 512, 512, 512, 256, 128, 64, 3]
    encoder_decoder = UNet(256, 3, 3, 64, False, 0.5, True)
    up = [layer[1] for layer in encoder_decoder.decoder]
    assert [c.in_channels for c in up] == [512, 512, 512, 512, 512, 256, 128, 64]


def test_norm_is_everywhere_but_at_the_source_at_the_innermost_maps_and_at_the_image():
    network = small(32)
    has = [[isinstance(m, nn.BatchNorm2d) for m in layer] for layer in network.encoder]
    assert [any(layer) for layer in has] == [False, True, True, True, False]
    has = [[isinstance(m, nn.BatchNorm2d) for m in layer] for layer in network.decoder]
    assert [any(layer) for layer in has] == [True, True, True, True, False]
    assert isinstance(network.decoder[-1][-1], nn.Tanh)


def test_dropout_is_at_the_first_three_layers_of_the_decoder():
    network = small(32)
    has = [any(isinstance(m, Dropout) for m in layer) for layer in network.decoder]
    assert has == [True, True, True, False, False]
    assert not any(isinstance(m, nn.Dropout) for m in network.encoder.modules())


@pytest.mark.parametrize(("size", "innermost"), [(8, 1), (28, 7), (32, 1), (48, 3), (6, 3)])
def test_a_side_is_halved_as_long_as_it_is_even(size, innermost):
    network = small(size)
    assert count_halvings(size) == len(network.encoder) == len(network.decoder)
    x = source(size)
    assert network(x).shape == (4, 3, size, size)
    for layer in network.encoder:
        x = layer(x)
    assert x.shape[-1] == innermost


def test_an_odd_side_is_refused():
    with pytest.raises(ValueError, match="cannot halve images of size 27"):
        small(27)


@pytest.mark.parametrize("position", [1, 2, 3])
def test_each_skip_matters(position):
    network = small(dropout=0.0)
    before = network(source())

    def severed(layer, arguments):
        own, skipped = arguments[0].chunk(2, dim=1)
        return torch.cat([own, torch.zeros_like(skipped)], dim=1)

    network.decoder[position].register_forward_pre_hook(severed)
    assert (network(source()) - before).abs().max() > 1e-5


def test_with_severed_skips_it_is_the_encoder_decoder():
    network, plain = small(dropout=0.0), small(dropout=0.0, skips=False)
    plain.encoder.load_state_dict(network.encoder.state_dict())
    for layer, other in zip(network.decoder, plain.decoder, strict=True):
        kept = len(other[1].weight)  # the first channels that come in are the decoder's own
        state = layer.state_dict() | {"1.weight": layer[1].weight.detach()[:kept].clone()}
        other.load_state_dict(state)
        with torch.no_grad():
            layer[1].weight[kept:] = 0
    torch.testing.assert_close(network(source()), plain(source()), rtol=0, atol=1e-6)


def test_a_skip_carries_the_maps_of_its_size():
    """A pixel of the source changes only its own neighborhood, but by way of deeper layers."""
    network = small(dropout=0.0)
    seen = {}
    for k, layer in enumerate(network.encoder):
        layer.register_forward_hook(lambda _, __, out, k=k: seen.update({f"e{k}": out}))
    for j, layer in enumerate(network.decoder):
        layer.register_forward_pre_hook(lambda _, given, j=j: seen.update({f"d{j}": given[0]}))
    network(source())
    for j, k in ((1, 2), (2, 1), (3, 0)):
        assert torch.equal(seen[f"d{j}"].chunk(2, dim=1)[1], seen[f"e{k}"])


def test_the_statistics_are_those_of_the_batch_in_eval_mode_too():
    network = small(dropout=0.0)
    trained = network.train()(source())
    assert torch.equal(network.eval()(source()), trained)
    assert not torch.allclose(network(source()[:2]), trained[:2], atol=1e-4)
    assert not list(network.buffers()), "nothing is remembered of the images that were seen"


def test_the_innermost_maps_survive_a_batch_of_one():
    """Batch norm would make them its bias, whatever the source (the paper's erratum)."""
    network = small(dropout=0.0, skips=False)
    one, other = source(count=2).split(1)
    assert (network(one) - network(other)).abs().max() > 1e-6


@pytest.mark.parametrize("test_dropout", [True, False])
def test_the_noise_is_there_at_test_if_asked_for(test_dropout):
    network = small(test_dropout=test_dropout).eval()
    assert torch.equal(network(source()), network(source())) != test_dropout
    network.train()
    assert not torch.equal(network(source()), network(source()))


def test_weights_begin_small_and_biases_at_zero():
    network = UNet(64, 3, 3, 32, True, 0.5, True)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert module.bias is None or not module.bias.any()
