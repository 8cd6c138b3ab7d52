import math

import pytest
import torch
from torch.distributions import Normal

from tests import kit
from zoo.flow.realnvp import RealNVP
from zoo.media.images import from_levels


def perturbed_(module, size=0.1):
    """Move all parameters at random: a new coupling is the identity."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        parameter.data += size * torch.randn_like(parameter)
    return module.double()


def small(**settings):
    defaults = {"image_size": 8, "image_channels": 1, "scales": 2, "width": 8, "blocks": 1}
    return RealNVP(**defaults | settings)


def test_the_probability_of_a_level_is_the_mean_of_its_density():
    """Of one pixel, before training: the mass of N(0, 1) between the logits of the bin's ends."""
    num_levels, alpha = 3, 0.05
    model = small(image_size=1, scales=1, num_levels=num_levels, alpha=alpha).double()
    images = from_levels(torch.arange(num_levels), num_levels).double()[:, None, None, None]
    torch.manual_seed(0)
    with torch.no_grad():
        bounds = model.nll({"image": images.repeat(20_000, 1, 1, 1)}).view(-1, num_levels)
    ends = (alpha + (1 - 2 * alpha) * torch.arange(num_levels + 1).double() / num_levels).logit()
    mass = Normal(0, 1).cdf(ends).diff()
    torch.testing.assert_close((-bounds).exp().mean(dim=0), mass, rtol=0, atol=0.003)
    assert (bounds.mean(dim=0) > -mass.log()).all(), "it is a bound"


def test_untrained_it_is_the_density_of_the_logits():
    model = small(num_levels=256).double()
    images = torch.rand(2, 1, 8, 8).double() * 2 - 1
    torch.manual_seed(1)
    latent, log_det = model.encode(images)
    torch.manual_seed(1)
    nll = model.nll({"image": images})
    expected = -Normal(0, 1).log_prob(latent).sum(dim=1) - log_det + 64 * math.log(256)
    torch.testing.assert_close(nll, expected)
    bits = nll.mean().item() / 64 / math.log(2)
    assert 7 < bits < 9


def test_samples_are_gray_levels():
    model = perturbed_(small(num_levels=5))
    levels = (model.sample(50) + 1) * 2
    torch.testing.assert_close(levels, levels.round())
    assert set(levels.round().flatten().tolist()) == {0, 1, 2, 3, 4}


def test_an_image_is_restored_from_its_latents():
    model = perturbed_(small(num_levels=17), 0.05).eval()
    images = from_levels(torch.randint(17, (4, 1, 8, 8)), 17).double()
    latent, _ = model.encode(images)
    torch.testing.assert_close(model.sample(4, {"latent": latent}), images)


def test_a_size_that_cannot_be_halved_is_refused():
    with pytest.raises(
        ValueError, match=r"scales=3 needs images .* multiple of 4, not 6: use fewer"
    ):
        small(image_size=6, scales=3)


def test_it_learns_real_digits(tmp_path):
    """Its bound is below 2.41 bits, which the level frequencies of each pixel have."""
    from callbacks.metrics import Metrics
    from datamodules.digits import Digits

    torch.manual_seed(0)
    model = small(num_levels=17, width=16, lr=4e-3)
    kit.fit(model, tmp_path, 110, Digits(), callbacks=[Metrics(0, count=100)])
    assert model.results["test/bits_per_dim_bound_levels17_test"][110] < 2.36
