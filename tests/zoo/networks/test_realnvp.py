import math

import pytest
import torch
from torch.distributions import Normal

from tests.flows import check_inverse, check_log_determinant
from zoo.networks.realnvp import Coupling, Couplings, MultiScaleFlow

CHECKERBOARD = torch.tensor([[0.0, 1], [1, 0]]).repeat(2, 2)[None, None]
CHANNELS = torch.tensor([1.0, 0, 1, 0]).view(1, 4, 1, 1)
SHAPES = [(8, 1, 3), (6, 3, 2), (28, 1, 3), (14, 3, 2), (5, 1, 1), (32, 3, 4)]


def perturbed_(module, size=0.1):
    """Move all parameters at random: a new coupling is the identity."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        parameter.data += size * torch.randn_like(parameter)
    return module.double()


def flow_of(size, channels, scales):
    return MultiScaleFlow(size, channels, scales, 8, 1, 0.0)


@pytest.mark.parametrize(("size", "channels", "scales"), SHAPES)
def test_the_inverse_is_exact(size, channels, scales):
    flow = perturbed_(flow_of(size, channels, scales), 0.05)
    images = torch.randn(2, channels, size, size).double()
    check_inverse(flow, images)


@pytest.mark.parametrize(
    ("size", "channels", "scales"), [(4, 1, 3), (6, 1, 2), (4, 3, 2), (3, 2, 1)]
)
def test_the_log_determinant_is_that_of_the_jacobian(size, channels, scales):
    flow = perturbed_(flow_of(size, channels, scales))
    images = torch.randn(3, channels, size, size).double()
    check_log_determinant(flow, images)


def test_the_density_integrates_to_one_in_two_dimensions():
    mask = torch.tensor([1.0, 0]).view(1, 2, 1, 1)
    couplings = perturbed_(Couplings(4, mask, 2, 8, 1, 0.0), 0.2)
    line = torch.linspace(-10, 10, 301, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)[:, :, None, None]
    with torch.no_grad():
        latent, log_det = couplings(grid)
        density = (Normal(0, 1).log_prob(latent.flatten(1)).sum(dim=1) + log_det).exp()
    assert (latent - grid).abs().max() > 0.5
    assert density.sum().item() * (line[1] - line[0]).item() ** 2 == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("mask", [CHECKERBOARD, CHANNELS])
@pytest.mark.parametrize("inverse", [False, True])
def test_a_coupling_keeps_the_masked_values_and_depends_on_them_alone(mask, inverse):
    coupling = perturbed_(Coupling(mask, 4, 8, 1, 0.0))
    function = coupling.inverse if inverse else lambda x: coupling(x)[0]
    x, mask = torch.randn(1, 4, 4, 4).double(), mask.expand(1, 4, 4, 4)
    with torch.no_grad():
        y, slopes = function(x), function(x + 1 - mask) - function(x)
        torch.testing.assert_close(y * mask, x * mask, rtol=0, atol=0)
        assert ((y - x)[mask == 0] != 0).all()
        further = function(x + 2 * (1 - mask)) - function(x)
        torch.testing.assert_close(further, 2 * slopes)  # affine in what is not masked
        assert (function(x + mask) - function(x))[mask == 0].abs().min() > 0


def test_an_affine_coupling_by_hand():
    """s = 2 tanh(1) and t = 3 where the mask is 0."""
    coupling = Coupling(torch.tensor([[1.0, 0]]), 1, 4, 0, 0.0).double()
    coupling.scale.data.fill_(2.0)
    coupling.network[-1].bias.data = torch.tensor([1.0, 3.0]).double()
    y, log_det = coupling(torch.tensor([[[[5.0, 7.0]]]]).double())
    log_scale = 2 * math.tanh(1)
    assert y.flatten().tolist() == pytest.approx([5, 7 * math.exp(log_scale) + 3])
    assert log_det.item() == pytest.approx(log_scale)


def test_the_order_of_the_masks():
    """3 checkerboards, 3 masks of channels, and 4 checkerboards at the last scale (section 4.1)."""
    flow = flow_of(8, 3, 2)
    assert [len(couplings) for couplings in flow.checkerboards] == [3, 4]
    (channelwise,) = flow.channelwise
    first, second, third = (coupling.mask.flatten().tolist() for coupling in channelwise)
    assert first == third == [1, 1, 1, 0, 0, 0] * 2  # upper left and upper right
    assert second == [1 - kept for kept in first]
    first, second, third = (coupling.mask[0, 0] for coupling in flow.checkerboards[0])
    assert first[:2, :3].tolist() == [[0, 1, 0], [1, 0, 1]]
    assert torch.equal(second, 1 - first)
    assert torch.equal(third, first)


def test_half_of_the_values_leave_at_each_scale():
    """The latents of a scale do not depend on the scales after it."""
    flow = perturbed_(flow_of(8, 1, 3))
    x = torch.randn(1, 1, 8, 8).double()
    with torch.no_grad():
        before, _ = flow(x)
        perturbed_(flow.checkerboards[1])
        changed = (flow(x)[0] != before)[0]
    assert not changed[:32].any()
    assert changed[32:].any()


def test_the_paper_doubles_the_feature_maps_after_each_squeeze():
    flow = flow_of(8, 3, 3)
    widths = [c[0].network[0].out_channels for c in flow.checkerboards]
    assert widths == [8, 16, 32]
    assert [c[0].network[0].out_channels for c in flow.channelwise] == [16, 32]
