"""Truncation moves latents towards the mean of the prior."""

import pytest
import torch

import zoo
from tests import kit
from zoo.engine.truncation import truncated


def test_latents_are_scaled_around_the_mean():
    model = kit.build("wgan")
    torch.manual_seed(0)
    before = model.prior(500)
    torch.manual_seed(0)
    after = truncated(model, 500, None, 0.5)["latent"]
    mean = (after - 0.5 * before)[0] / 0.5
    assert mean.abs().max() < 0.05, "the prior is standard normal"
    torch.testing.assert_close(after, mean + 0.5 * (before - mean))


def test_categories_are_kept_and_codes_shrink():
    model = kit.build("infogan")
    torch.manual_seed(0)
    before = model.split_latent(model.prior(200))
    torch.manual_seed(0)
    after = model.split_latent(truncated(model, 200, None, 0.5)["latent"])
    assert torch.equal(before[1], after[1])
    assert 0.4 < after[2].std() / before[2].std() < 0.6


def test_samples_depend_on_it_and_1_changes_nothing():
    plain = zoo.generate("wgan_digits", 20)
    assert torch.equal(zoo.generate("wgan_digits", 20, truncation=1.0), plain)
    typical = zoo.generate("wgan_digits", 20, truncation=0.3)
    assert typical.std(dim=0).mean() < 0.8 * plain.std(dim=0).mean()
    mean = zoo.generate("wgan_digits", 20, truncation=0.0)
    torch.testing.assert_close(mean, mean[:1].expand_as(mean))


def test_a_model_without_latents_and_given_latents_are_refused():
    with pytest.raises(ValueError, match="PixelCNN has no prior"):
        zoo.generate(kit.build("pixelcnn"), 2, truncation=0.5)
    model = kit.build("wgan")
    with pytest.raises(ValueError, match="already contains the latents"):
        zoo.generate(model, 2, condition={"latent": model.prior(2)}, truncation=0.5)
    completed = {name: torch.ones(2, 1, 8, 8) for name in ("image", "mask")}
    with pytest.raises(ValueError, match="no latents are drawn to complete images"):
        truncated(kit.build("pixelcnn_autoencoder"), 2, completed, 0.5)
    with pytest.raises(ValueError, match=r"truncation=2 must be at most 1: .*\[0, 1\]"):
        zoo.generate(model, 2, truncation=2)


def test_the_mean_is_that_of_the_prior():
    """Improved GAN's latents are uniform in [0, 1]."""
    latent = truncated(kit.build("improved_gan"), 5, None, 0.0)["latent"]
    assert (latent - 0.5).abs().max() < 0.02
