"""Weight normalization against torch's own, and what the first batch makes of it."""

import pytest
import torch
from torch import nn
from torch.distributed import all_reduce, get_rank
from torch.nn.utils.parametrizations import weight_norm

from tests import kit
from zoo.networks.weight_norm import NormedConv, NormedTransposedConv, init_from_data_


def alone(values):
    """The mean over one process."""
    return values


def filled(layer):
    torch.manual_seed(0)
    for parameter in layer.parameters():
        parameter.data = torch.randn_like(parameter)
    return layer.double()


def test_it_is_torchs_weight_norm_of_a_convolution():
    ours = filled(NormedConv(3, 4, (2, 3), margin=(1, 1, 1, 0), stride=2))
    theirs = weight_norm(nn.Conv2d(3, 4, (2, 3), stride=2).double())
    theirs.bias.data = ours.b.data
    theirs.parametrizations.weight.original0.data = ours.g.data.view(4, 1, 1, 1)
    theirs.parametrizations.weight.original1.data = ours.v.data
    maps = torch.randn(2, 3, 6, 8).double()
    torch.testing.assert_close(ours(maps), theirs(nn.functional.pad(maps, (1, 1, 1, 0))))


@pytest.mark.parametrize("columns", [2, 3])
def test_each_pixel_of_a_transposed_convolution_by_hand(columns):
    """out[2i + k, 2j + l - beyond] = Σ w[k, l] in[i, j] + b; odd columns 3 add two of them."""
    layer = filled(NormedTransposedConv(3, 4, columns))
    maps, weight = torch.randn(1, 3, 2, 3).double(), layer.weight
    beyond = (columns - 1) // 2
    expected = layer.b.repeat(4, 6 + 2, 1).permute(2, 0, 1).clone()
    for i in range(2):
        for j in range(3):
            for k in range(2):
                for tap in range(columns):
                    expected[:, 2 * i + k, 2 * j + tap] += weight[:, :, k, tap] @ maps[0, :, i, j]
    torch.testing.assert_close(layer(maps)[0], expected[:, :, beyond : beyond + 6])


def test_before_any_batch_weights_have_the_norm_of_their_scale():
    layer = NormedConv(3, 4, (2, 3), scale=0.1)
    torch.testing.assert_close(layer.weight.flatten(1).norm(dim=1), torch.full((4,), 0.1))
    assert not layer.b.any()


def test_the_first_batch_gives_outputs_mean_0_and_their_scale():
    """In each layer, of which the second sees what the first has become."""
    torch.manual_seed(0)
    layers = [NormedConv(3, 5, (2, 2)), nn.Tanh(), NormedConv(5, 6, scale=0.1)]
    network = filled(nn.Sequential(*layers))
    maps = (4 + 3 * torch.randn(8, 3, 6, 6)).double()
    init_from_data_(network, alone, maps)
    for end, scale in ((1, 1.0), (3, 0.1)):
        outputs = network[:end](maps).transpose(0, 1).flatten(1)
        zeros = torch.zeros(len(outputs), dtype=torch.float64)
        torch.testing.assert_close(outputs.mean(dim=1), zeros, rtol=0, atol=1e-12)
        deviation = outputs.std(dim=1, correction=0)
        torch.testing.assert_close(deviation, zeros + scale, rtol=1e-9, atol=0)
    assert not any(layer._forward_hooks for layer in network)


def test_a_map_that_is_the_same_everywhere_keeps_its_gain():
    layer = NormedConv(1, 2)
    before = layer.g.clone()
    init_from_data_(layer, alone, torch.ones(4, 1, 3, 3))
    assert torch.equal(layer.g, before)
    assert layer(torch.ones(1, 1, 1, 1)).abs().max() < 1e-6


def test_processes_choose_what_one_would_of_all_their_samples(tmp_path):
    maps = torch.randn(6, 3, 4, 4).double()

    def network():
        return filled(nn.Sequential(NormedConv(3, 5, (2, 2)), nn.Tanh(), NormedConv(5, 4)))

    def mean(values):
        all_reduce(values)
        return values / 2

    def chosen():
        layers = network()
        init_from_data_(layers, mean, maps[get_rank() :: 2])
        return {name: value.numpy() for name, value in layers.state_dict().items()}

    whole = network()
    init_from_data_(whole, alone, maps)
    first, second = kit.in_processes(2, chosen, tmp_path)
    for name, value in whole.state_dict().items():
        assert (first[name] == second[name]).all()
        torch.testing.assert_close(torch.from_numpy(first[name]), value, rtol=0, atol=1e-12)
