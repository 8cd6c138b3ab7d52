"""Numbers of health in closed form."""

import pytest
import torch
from torch import nn

from zoo.metrics import gan_health as vitals
from zoo.networks import resnet
from zoo.networks import spectral_norm as spectral


def test_separation_is_the_share_of_pairs_in_order():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 1.0, 2.0, 5.0])
    assert vitals.separation(real, fake).item() == pytest.approx((1.5 + 3) / 8)
    assert vitals.separation(fake, fake).item() == 0.5
    assert vitals.separation(torch.ones(5), torch.zeros(3)).item() == 1
    assert vitals.separation(torch.zeros(3), torch.ones(5)).item() == 0


def test_saturation_is_the_share_beyond_20_on_either_side():
    logits = torch.tensor([21.0, 19.0]), torch.tensor([-30.0, -20.0])
    assert vitals.saturation(*logits).item() == 0.5


def test_diversity_compares_mean_distances():
    """Three points on a line at 0, 3, 9: mean distance 6; scaled by a half, it is a half."""
    real = torch.tensor([0.0, 3.0, 9.0])[:, None, None, None].expand(-1, 2, 4, 4)
    assert vitals.diversity(real, real + 7).item() == pytest.approx(1)
    assert vitals.diversity(real, real / 2).item() == pytest.approx(0.5)
    assert vitals.diversity(real, torch.ones(5, 2, 4, 4)).item() == 0
    assert vitals.diversity(torch.ones(5, 2, 4, 4), real).isfinite()


def test_norm_is_that_of_all_together():
    assert vitals.norm([torch.tensor([3.0]), torch.tensor([[0.0, 4.0]])]).item() == 5


def test_spectral_norms_are_the_largest_singular_values():
    torch.manual_seed(0)
    network = resnet.discriminator(8, 1, 16)
    values = vitals.spectral_norms(network, iterations=200)
    layers = [m for m in network.modules() if isinstance(m, spectral.LAYERS)]
    expected = [torch.linalg.svdvals(layer.weight.flatten(1))[0] for layer in layers]
    torch.testing.assert_close(values, torch.stack(expected), rtol=1e-3, atol=0)
    few = vitals.spectral_norms(network)
    assert (few <= values * 1.0001).all()
    assert (few >= values * 0.95).all()
    assert len(vitals.spectral_norms(nn.ReLU())) == 0


def test_looking_at_a_normalized_network_changes_nothing():
    network = spectral.add_spectral_norm_(resnet.discriminator(8, 1, 8)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    vitals.spectral_norms(network)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in network.modules())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_failure_restores_the_mode_of_every_module():
    class Broken(nn.Linear):
        weight = property(lambda self: 1 / 0)

    network = nn.Sequential(nn.Dropout().eval(), nn.Linear(2, 2))
    network[1].__class__ = Broken
    with pytest.raises(ZeroDivisionError):
        vitals.spectral_norms(network)
    assert [module.training for module in network.modules()] == [True, False, True]
