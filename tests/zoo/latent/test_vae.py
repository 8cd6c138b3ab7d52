import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from tests import kit
from zoo.latent.vae import VAE


def small(**given):
    torch.manual_seed(0)
    settings = {"image_size": 8, "latent_dim": 4, "width": 16}
    return VAE(**settings | given).double()


class As(nn.Module):
    """A network that computes a function."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


class Linear(VAE):
    """z ~ N(0, I), x ~ N(A z, s² I), whose log p(x) is that of N(0, A Aᵀ + s² I)."""

    def __init__(self):
        super().__init__(image_size=2, latent_dim=3, width=4, likelihood="gaussian", num_levels=256)
        self.double()
        generator = torch.Generator().manual_seed(0)
        self.A = torch.randn(4, 3, generator=generator, dtype=torch.float64)
        self.s = 0.5
        covariance = torch.linalg.inv(torch.eye(3).double() + self.A.T @ self.A / self.s**2)
        self.exact = covariance @ self.A.T / self.s**2  # the mean of p(z | x) is exact @ x
        self.deviations = covariance.diagonal().sqrt()
        self.decoder = As(lambda latent, given: latent @ self.A.T)

    def posterior(self, batch):
        """Means of p(z | x), and the deviations of its diagonal: near, not exact."""
        x = batch["image"].flatten(1)
        return Normal(x @ self.exact.T, self.deviations.expand(len(x), 3))

    def log_likelihood(self, outputs, images):
        return Normal(outputs, self.s).log_prob(images.flatten(1))

    def log_p(self, images):
        law = MultivariateNormal(
            torch.zeros(4).double(), self.A @ self.A.T + self.s**2 * torch.eye(4).double()
        )
        return law.log_prob(images.flatten(1))


def test_the_bounds_of_a_linear_model_rise_to_its_log_p():
    """ELBO <= IWAE-2 <= IWAE-50 <= log p, and IWAE-5000 is there to 0.01 nats."""
    model, images = Linear(), torch.randn(200, 1, 2, 2).double()
    log_p = model.log_p(images).mean().item()
    with torch.no_grad():
        elbo = -torch.stack([model.nll({"image": images}) for _ in range(200)]).mean().item()
        bounds = [-model.iwae_nll(k, {"image": images}).mean().item() for k in (2, 50, 5000)]
    assert elbo < bounds[0] - 0.01
    assert bounds[0] < bounds[1] < log_p
    assert bounds[2] == pytest.approx(log_p, abs=0.01)


def test_the_divergence_is_that_of_draws():
    model = small()
    batch = {"image": torch.rand(3, 1, 8, 8).double() * 2 - 1}
    with torch.no_grad():
        posterior, prior = model.posterior(batch), model.conditional_prior(batch)
        _, divergence = model.elbo_terms(batch)
        latent = posterior.sample((200_000,))
        samples = (posterior.log_prob(latent) - prior.log_prob(latent)).sum(dim=2).mean(dim=0)
    torch.testing.assert_close(divergence, samples, rtol=0, atol=0.02)


def test_the_divergence_by_hand():
    """½ Σ (mean² + variance - 1 - log variance)."""
    model = small(latent_dim=2)
    moments = torch.tensor([[1.0, -2.0, math.log(4), 0.0]]).double()
    model.encoder = As(lambda images, given: moments)
    _, divergence = model.elbo_terms({"image": torch.zeros(1, 1, 8, 8).double()})
    assert divergence.item() == pytest.approx((1 + 4 - 1 - math.log(4)) / 2 + 2)


def test_one_weighted_sample_is_the_elbo_in_the_mean():
    model = small()
    batch = {"image": torch.rand(2, 1, 8, 8).double() * 2 - 1}
    with torch.no_grad():
        elbo = torch.stack([model.nll(batch) for _ in range(3000)]).mean(dim=0)
        weights = -model.log_weights(batch, 3000).mean(dim=0)
    torch.testing.assert_close(elbo, weights, rtol=0, atol=0.3)


@pytest.mark.parametrize(
    ("likelihood", "levels"),
    [("bernoulli", 2), ("logistic", 17), ("logistic", 42), ("logistic", 256)],
)
def test_the_probabilities_of_a_pixels_levels_sum_to_one(likelihood, levels):
    model = small(likelihood=likelihood, num_levels=levels, image_channels=3)
    outputs = model.decoder(torch.randn(1, 4).double())
    values = (torch.arange(levels) * (2 / (levels - 1)) - 1).double()
    images = values[:, None, None, None].expand(-1, 3, 8, 8)
    mass = model.log_likelihood(outputs.expand(levels, -1, -1, -1), images).exp().sum(dim=0)
    torch.testing.assert_close(mass, torch.ones_like(mass))


def test_a_gaussian_density_is_of_gray_levels_spread_over_their_bins():
    """E log N(x + h u; 0, s^2) of u ~ U(-1, 1) is log N(x; 0, s^2) - (h / s)^2 / 6."""
    model = small(likelihood="gaussian", num_levels=17)
    half_bin = sigma = 1 / 16
    model.log_sigma[0].data.fill_(math.log(sigma))
    images = torch.linspace(-0.2, 0.2, 64).double().view(1, 1, 8, 8).repeat(20_000, 1, 1, 1)
    found = model.log_likelihood(torch.zeros(1, 1, 8, 8), images).mean(dim=0)
    density = Normal(0.0, sigma).log_prob(model.quantized(images[0])) - 1 / 6
    torch.testing.assert_close(found, density + math.log(2 * half_bin), rtol=0, atol=0.05)


def test_bernoulli_counts_the_upper_level():
    model = small()
    logit = torch.full((1, 1, 8, 8), math.log(3)).double()
    images = torch.ones(1, 1, 8, 8).double()
    images[..., :4] = -1
    found = model.log_likelihood(logit, images)
    assert found[0, 0, 0, 7].item() == pytest.approx(math.log(0.75))
    assert found[0, 0, 0, 0].item() == pytest.approx(math.log(0.25))
    assert model.mean_image(logit)[0, 0, 0, 0].item() == pytest.approx(0.5)


def losses(tmp_path, **settings):
    """The loss of each batch, after the terms that it is made of."""
    model, logged = small(**settings).float(), []
    terms, backward = model.elbo_terms, model.manual_backward

    def recorded_terms(batch):
        likelihood, divergence = terms(batch)
        logged.append([likelihood.mean().item(), divergence.mean().item()])
        return likelihood, divergence

    def recorded_backward(loss):
        logged[-1].append(loss.item())
        backward(loss)

    model.elbo_terms, model.manual_backward = recorded_terms, recorded_backward
    kit.fit(model, tmp_path, 4)
    return logged


@pytest.mark.parametrize(
    ("given", "weights"),
    [
        ({}, [1, 1, 1, 1]),
        ({"beta": 3.0}, [3, 3, 3, 3]),
        ({"warmup": 2}, [0.5, 1, 1, 1]),
        ({"beta": 2.0, "warmup": 4}, [0.5, 1, 1.5, 2]),
    ],
)
def test_beta_and_its_warmup_weigh_the_divergence(given, weights, tmp_path):
    logged = losses(tmp_path, **given)
    for (likelihood, divergence, loss), weight in zip(logged, weights, strict=True):
        assert loss == pytest.approx(weight * divergence - likelihood, rel=1e-5)


def test_importance_samples_change_the_objective(tmp_path):
    model, logged = small(importance_samples=5).float(), []
    backward = model.manual_backward
    model.manual_backward = lambda loss: (logged.append(loss.item()), backward(loss))
    weights = model.log_weights
    model.log_weights = lambda batch, count: logged.append(weights(batch, count)) or logged[-1]
    kit.fit(model, tmp_path, 1)
    samples, loss = logged
    assert samples.shape == (5, 4)
    expected = -(samples.double().logsumexp(dim=0) - math.log(5)).mean()
    assert loss == pytest.approx(expected.item(), rel=1e-5)


def test_a_plane_of_latents_has_a_manifold():
    assert "manifold" in small(latent_dim=2).figures(None)
    assert "manifold" not in small(latent_dim=3).figures(None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"likelihood": "poisson"}, "choose one of bernoulli, gaussian, logistic"),
        ({"num_levels": 256}, "model.likelihood=bernoulli needs model.num_levels of 2, not 256"),
        (
            {"likelihood": "logistic", "num_levels": 2},
            "model.num_levels of more than 2, not 2",
        ),
        ({"importance_samples": 5, "beta": 2.0}, "has no KL term"),
        ({"network": "resnet"}, "choose one of mlp, conv"),
        ({"evaluation_samples": 0}, "evaluation_samples=0 must be at least 1"),
        ({"beta": -1.0}, "model.beta=-1.0 must be at least 0"),
        ({"importance_samples": 0}, "importance_samples=0 must be at least 1"),
        ({"likelihood": "logistic", "num_levels": 1}, "at least 2"),
    ],
)
def test_settings_that_cannot_work_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        small(**given)


def test_the_architecture_is_burdas():
    """Two hidden layers of 200 tanh units each way, 50 latents."""
    model = VAE()
    shapes = [tuple(m.weight.shape) for m in model.encoder.modules() if isinstance(m, nn.Linear)]
    assert shapes == [(200, 784), (200, 200), (100, 200)]
    shapes = [tuple(m.weight.shape) for m in model.decoder.modules() if isinstance(m, nn.Linear)]
    assert shapes == [(200, 50), (200, 200), (784, 200)]
    assert sum(isinstance(m, nn.Tanh) for m in model.modules()) == 4


def test_it_learns_real_digits(tmp_path):
    """Its bound is above what pixels tell one by one: the latents say something."""
    from callbacks.metrics import Metrics
    from datamodules.digits import Digits

    data = Digits(binarize=True)
    train, test = (data.source(s)[torch.arange(len(data.source(s)))] for s in ("train", "test"))
    share = ((train["image"] > 0).double().sum(dim=0) + 1) / (len(train["image"]) + 2)
    white = (test["image"] > 0).double()
    independent = -(white * share.log() + (1 - white) * (1 - share).log()).flatten(1).sum(1).mean()
    model = VAE(image_size=8, latent_dim=8, width=64, lr=3e-3)
    kit.fit(model, tmp_path, 600, data, callbacks=[Metrics(0, count=100)])
    bound = model.results["test/nats_bound_levels2_test"][600]
    iwae = model.results["test/nats_iwae_64_levels2_test"][600]
    assert iwae < bound
    assert bound < independent - 2
    assert model.results["test/active_units_test"][600] >= 3
