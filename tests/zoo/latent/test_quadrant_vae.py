import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from datamodules.digits import Digits
from tests import kit
from zoo.latent.quadrant_vae import QuadrantVAE


def small(**settings):
    torch.manual_seed(0)
    return QuadrantVAE(**{"image_size": 8, "latent_dim": 4, "width": 16} | settings)


def binary(count):
    return (torch.rand(count, 1, 8, 8) > 0.5).float() * 2 - 1


VISIBLE = {
    1: ["lower left"],
    2: ["upper left", "lower left"],
    3: ["upper left", "lower left", "lower right"],
}
PLACES = {
    "upper left": (slice(4), slice(4)),
    "upper right": (slice(4), slice(4, None)),
    "lower left": (slice(4, None), slice(4)),
    "lower right": (slice(4, None), slice(4, None)),
}


@pytest.mark.parametrize("quadrants", [1, 2, 3])
def test_which_quadrants_are_visible(quadrants):
    hidden = small(quadrants=quadrants).hidden[0, 0]
    for name, (rows, columns) in PLACES.items():
        assert hidden[rows, columns].all() == (name not in VISIBLE[quadrants])
        assert hidden[rows, columns].any() == (name not in VISIBLE[quadrants])


@pytest.mark.parametrize("quadrants", [1, 2, 3])
def test_samples_do_not_depend_on_hidden_pixels(quadrants):
    model = small(quadrants=quadrants)
    images = binary(3)
    other = torch.where(model.hidden, -images, images)
    assert torch.equal(model.guess(images), model.guess(other))
    priors = [model.conditional_prior({"image": i}).mean for i in (images, other)]
    assert torch.equal(*priors)
    latent = model.prior(3)
    samples = [model.sample(3, {"latent": latent, "image": i}) for i in (images, other)]
    assert torch.equal(*samples)
    assert torch.equal(
        samples[0][~model.hidden.expand_as(images)], images[~model.hidden.expand_as(images)]
    )
    changed = torch.where(model.hidden, images, -images)
    assert not torch.equal(model.conditional_prior({"image": changed}).mean, priors[0])
    posteriors = [model.posterior({"image": i}).mean for i in (images, other)]
    assert not torch.equal(*posteriors), "the encoder sees the whole image"


def test_likelihoods_are_those_of_the_hidden_pixels():
    model, images = small(quadrants=2), binary(4)
    logits = torch.randn(4, 1, 8, 8)
    target = (images > 0).float()
    expected = binary_cross_entropy_with_logits(logits, target, reduction="none")[..., 4:]
    found = -model.log_likelihood(logits, images)
    torch.testing.assert_close(found.flatten(1).sum(1), expected.flatten(1).sum(1))
    assert model.dimensions == 32
    guess = model.guess_logits(images)
    baseline = binary_cross_entropy_with_logits(guess, target, reduction="none")[..., 4:]
    torch.testing.assert_close(model.baseline_nll({"image": images}), baseline.flatten(1).sum(1))


def test_the_elbo_has_no_gradient_to_the_baseline():
    model, images = small(), binary(4)
    model.nll({"image": images}).sum().backward()
    assert all(p.grad is None for p in model.baseline.parameters())
    assert all(p.grad is not None for p in model.prior_network.parameters())


@pytest.mark.parametrize("quadrants", [0, 4])
def test_other_numbers_of_quadrants_are_refused(quadrants):
    with pytest.raises(ValueError, match=r"range is \[1, 3\]"):
        small(quadrants=quadrants)


def test_it_learns_real_digits(tmp_path):
    """Its bound is better than its baseline, which is better than the untrained one."""
    from callbacks.metrics import Metrics

    data = Digits(binarize=True)
    model = small(latent_dim=8, width=64, lr=5e-3, quadrants=1)
    kit.fit(model, tmp_path, 250, data, callbacks=[Metrics(0, 100)])
    bound = model.results["test/nats_iwae_64_given_quadrants1_levels2_test"][250]
    untrained, baseline = model.results["val/nats_baseline_given_quadrants1_val"].values()
    assert baseline < untrained / 1.5
    assert bound < baseline
