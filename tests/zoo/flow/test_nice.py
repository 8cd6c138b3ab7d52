import math

import pytest
import torch
from torch.distributions import Normal

from tests import kit
from tests.flows import check_inverse, check_log_determinant
from zoo.flow.nice import NICE, AdditiveCouplings
from zoo.media.images import from_levels

SHAPES = [(1, 8, 8), (3, 6, 6), (1, 28, 28), (3, 2, 2), (1, 5, 5)]


def perturbed(shape, couplings=4, size=0.2):
    """Build couplings with random parameters: new ones are the identity."""
    torch.manual_seed(0)
    flow = AdditiveCouplings(shape, couplings, width=32, layers=2, dropout=0.0)
    for parameter in flow.parameters():
        parameter.data += size * torch.randn_like(parameter)
    return flow.double()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_inverse_is_exact(shape):
    flow, images = perturbed(shape), torch.randn(2, *shape).double()
    check_inverse(flow, images)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 2, 2), (1, 3, 3)])
@pytest.mark.parametrize("couplings", [1, 4])
def test_the_log_determinant_is_that_of_the_jacobian(shape, couplings):
    flow, images = perturbed(shape, couplings), torch.randn(3, *shape).double()
    check_log_determinant(flow, images, least=0.01)


def test_the_density_integrates_to_one_in_two_dimensions():
    flow = perturbed((2, 1, 1))
    line = torch.linspace(-12, 12, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)[:, :, None, None]
    with torch.no_grad():
        latent, log_det = flow(grid)
        density = (Normal(0, 1).log_prob(latent).sum(dim=1) + log_det).exp()
    assert (latent - grid.flatten(1)).abs().max() > 0.5
    assert density.sum().item() * (line[1] - line[0]).item() ** 2 == pytest.approx(1, abs=1e-4)


def test_a_coupling_keeps_one_parity_and_depends_on_it_alone():
    """The derivatives of one coupling and of two, without the scaling."""
    flow, x = perturbed((1, 6, 6), couplings=2), torch.randn(1, 6, 6).double()
    flow.log_scale.data.zero_()
    networks = flow.networks
    dependence = []
    for flow.networks in (networks[:1], networks):
        jacobian = torch.autograd.functional.jacobian(lambda x: flow(x[None])[0][0], x)
        dependence.append(jacobian.flatten(1))
    first, both = dependence
    torch.testing.assert_close(first[::2], torch.eye(36).double()[::2], rtol=0, atol=0)
    torch.testing.assert_close(first[1::2, 1::2], torch.eye(18).double(), rtol=0, atol=0)
    assert (first[1::2, ::2] != 0).all(), "each odd value depends on all even ones"
    torch.testing.assert_close(both[1::2], first[1::2])  # the second one keeps the odd values
    assert (both[::2] != 0).all()


def test_three_values_by_hand():
    """The first coupling adds 3 to the odd value, the second one adds it to the even ones."""
    flow = AdditiveCouplings((1, 1, 3), 2, width=1, layers=1, dropout=0.0).double()
    flow.networks[0][-1].bias.data.fill_(3.0)
    last = flow.networks[1]
    last[0][0].weight.data.fill_(1.0)
    last[0][0].bias.data.fill_(0.0)
    last[-1].weight.data = torch.tensor([[1.0], [10.0]]).double()
    flow.log_scale.data = torch.tensor([2.0, 3.0, 4.0]).double().log()
    latent, log_det = flow(torch.tensor([[[[5.0, 6.0, 7.0]]]]).double())
    assert latent[0].tolist() == pytest.approx([2 * (5 + 9), 3 * (6 + 3), 4 * (7 + 90)])
    assert log_det.item() == pytest.approx(math.log(24))


def test_untrained_it_is_a_normal_density_of_the_logits():
    """With a scaling by 2, a normal density of standard deviation 1/2."""
    model = kit.build("nice").double()
    model.flow.log_scale.data.fill_(math.log(2))
    images = torch.rand(2, 1, 8, 8).double() * 2 - 1
    torch.manual_seed(1)
    latent, log_det = model.encode(images)
    torch.manual_seed(1)
    nll = model.nll({"image": images})
    logits, slopes = latent / 2, log_det - 64 * math.log(2)
    expected = -Normal(0, 0.5).log_prob(logits).sum(dim=1) - slopes + 64 * math.log(256)
    torch.testing.assert_close(nll, expected)


def test_an_image_is_restored_from_its_latents():
    torch.manual_seed(0)
    model = NICE(image_size=6, image_channels=3, num_levels=17, width=8, layers=1).double().eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    images = from_levels(torch.randint(17, (4, 3, 6, 6)), 17).double()
    latent, _ = model.encode(images)
    torch.testing.assert_close(model.sample(4, {"latent": latent}), images)


def test_it_learns_real_digits(tmp_path):
    """Its bound is below 2.41 bits, which the level frequencies of each pixel have."""
    from callbacks.metrics import Metrics
    from datamodules.digits import Digits

    torch.manual_seed(0)
    settings = {"width": 128, "layers": 1, "alpha": 0.01, "lr": 5e-3}
    model = NICE(image_size=8, image_channels=1, num_levels=17, **settings)
    kit.fit(model, tmp_path, 300, Digits(), callbacks=[Metrics(0, count=100)])
    assert model.results["test/bits_per_dim_bound_levels17_test"][300] < 2.36
