import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from tests import kit
from tests.flows import check_inverse, check_log_determinant
from zoo.networks.glow import ActNorm, AffineCoupling, GlowFlow, InvertibleConv, init_from_data_

SHAPES = [(8, 1, 3), (6, 3, 1), (28, 1, 2), (4, 3, 2)]


def perturbed_(module, size=0.1):
    """Move all parameters at random: new couplings are the identity."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        parameter.data += size * torch.randn_like(parameter)
    return module.double()


def flow_of(size, channels, scales):
    torch.manual_seed(1)
    return GlowFlow(size, channels, scales, couplings=2, width=8, dropout=0.0)


@pytest.mark.parametrize(("size", "channels", "scales"), SHAPES)
def test_the_inverse_is_exact(size, channels, scales):
    flow = perturbed_(flow_of(size, channels, scales))
    images = torch.randn(2, channels, size, size).double()
    check_inverse(flow, images)


@pytest.mark.parametrize(("size", "channels", "scales"), [(4, 1, 2), (6, 1, 1), (4, 3, 2)])
def test_the_log_determinant_is_that_of_the_jacobian(size, channels, scales):
    flow = perturbed_(flow_of(size, channels, scales))
    images = torch.randn(2, channels, size, size).double()
    check_log_determinant(flow, images)


def test_the_density_integrates_to_one_in_two_dimensions():
    torch.manual_seed(1)
    maps = [ActNorm(2), InvertibleConv(2), AffineCoupling(nn.Identity(), 1, 2), InvertibleConv(2)]
    perturbed_(nn.ModuleList(maps), 0.2)
    line = torch.linspace(-10, 10, 301, dtype=torch.float64)
    latent = grid = torch.cartesian_prod(line, line)[:, :, None, None]
    density = torch.zeros(len(grid)).double()
    with torch.no_grad():
        for map_ in maps:
            latent, change = map_(latent)
            density = density + change
        density = (density + Normal(0, 1).log_prob(latent.flatten(1)).sum(dim=1)).exp()
    assert density.sum().item() * (line[1] - line[0]).item() ** 2 == pytest.approx(1, abs=1e-4)


def test_a_new_convolution_is_a_rotation():
    """Also in the checkpoint: P and the signs are part of the state."""
    torch.manual_seed(0)
    conv = InvertibleConv(6).double()
    x = torch.randn(1, 6, 2, 3).double()
    y, log_det = conv(x)
    torch.testing.assert_close(y.square().sum(dim=1), x.square().sum(dim=1), rtol=0, atol=1e-5)
    assert (y - x).abs().min() > 0
    assert log_det.item() == pytest.approx(0, abs=1e-5)
    other = InvertibleConv(6).double()
    other.load_state_dict(conv.state_dict())
    torch.testing.assert_close(other(x)[0], y, rtol=0, atol=0)


def test_a_convolution_by_hand():
    """P L (U + diag(s)) of two channels, which the permutation exchanges."""
    conv = InvertibleConv(2).double()
    conv.permutation.copy_(torch.tensor([[0.0, 1], [1, 0]]))
    conv.sign.copy_(torch.tensor([1.0, -1]))
    conv.lower.data = torch.tensor([[9.0, 9], [5, 9]]).double()  # only the 5 is used
    conv.upper.data = torch.tensor([[9.0, 4], [9, 9]]).double()  # only the 4
    conv.log_scale.data = torch.tensor([2.0, 3]).double().log()
    y, log_det = conv(torch.tensor([10.0, 1]).double().view(1, 2, 1, 1).expand(1, 2, 2, 3))
    upper = 2 * 10 + 4 * 1, -3 * 1
    assert y[0, :, 1, 2].tolist() == pytest.approx([5 * upper[0] + upper[1], upper[0]])
    assert log_det.item() == pytest.approx(6 * math.log(6))


def test_an_actnorm_by_hand():
    norm = ActNorm(2).double()
    norm.log_scale.data = torch.tensor([2.0, 3]).double().log().view(2, 1, 1)
    norm.bias.data = torch.tensor([1.0, -1]).double().view(2, 1, 1)
    y, log_det = norm(torch.tensor([5.0, 7]).double().view(1, 2, 1, 1))
    assert y.flatten().tolist() == pytest.approx([11, 20])
    assert log_det.item() == pytest.approx(math.log(6))


def test_a_coupling_keeps_the_first_half_and_depends_on_it_alone():
    coupling = perturbed_(AffineCoupling(nn.Identity(), 2, 4))
    x = torch.randn(1, 4, 3, 3).double()
    jacobian = torch.autograd.functional.jacobian(lambda x: coupling(x[None])[0][0], x[0])
    jacobian = jacobian.flatten(3).flatten(0, 2)
    torch.testing.assert_close(jacobian[:18], torch.eye(36).double()[:18], rtol=0, atol=0)
    changed = jacobian[18:, 18:]
    assert torch.equal(changed, changed.diagonal().diag())
    assert (jacobian[18:, :18] != 0).any(dim=1).all()
    log_scale, shift = coupling.changes(x[:, :2])
    torch.testing.assert_close(coupling(x)[0][:, 2:], x[:, 2:] * log_scale.exp() + shift)


def test_each_actnorm_starts_with_normalized_outputs():
    """After it, the outputs of all actnorms have mean 0 and standard deviation 1 at once."""
    flow, outputs = flow_of(8, 1, 2).double(), []
    x = 5 + 3 * torch.randn(64, 1, 8, 8).double()
    x[:, :, ::2, ::2] = 0.25
    init_from_data_(flow, lambda mean: mean, x)
    norms = [module for module in flow.modules() if isinstance(module, ActNorm)]
    for norm in norms:
        norm.register_forward_hook(lambda norm, inputs, result: outputs.append(result[0]))
    flow(x)
    assert len(outputs) == len(norms) == 4
    for values in outputs:
        mean, std = values.mean(dim=(0, 2, 3)), values.std(dim=(0, 2, 3), correction=0)
        torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-9)
        constant = std < 1e-9  # of the first actnorm: its scale stays 1
        torch.testing.assert_close(std[~constant], torch.ones_like(std[~constant]))
    assert outputs[0][:, 0].abs().max() < 1e-9
    assert norms[0].log_scale[0].item() == 0


def test_statistics_are_those_of_all_processes(tmp_path):
    """Two processes with halves of the batch start as one with the whole batch."""
    x = torch.randn(8, 1, 4, 4).double() * torch.arange(1, 9)[:, None, None, None]

    def log_scales(images, reduce):
        flow = flow_of(4, 1, 2).double()
        init_from_data_(flow, reduce, images)
        return [p for n, p in flow.state_dict().items() if n.endswith(("log_scale", "bias"))]

    def mean(tensor):
        tensor = tensor.clone()
        torch.distributed.all_reduce(tensor)
        return tensor / 2

    def half():
        return log_scales(x[torch.distributed.get_rank() :: 2], mean)

    expected = log_scales(x, lambda mean: mean)
    for found in kit.in_processes(2, half, tmp_path):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_the_half_that_leaves_is_conditioned_on_the_half_that_stays():
    """The latents of the first scale do not depend on the second scale."""
    flow = perturbed_(flow_of(8, 1, 2))
    x = torch.randn(1, 1, 8, 8).double()
    with torch.no_grad():
        before, _ = flow(x)
        perturbed_(flow.scales[1], 0.3)
        changed = (flow(x)[0] != before)[0]
        assert not changed[:32].any()
        assert changed[32:].all()
        last = flow.scales[0][-1]
        perturbed_(last, 0.3)
        assert (flow(x)[0] != before)[0][:32].all()
