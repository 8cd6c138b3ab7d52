"""Variational autoencoder (Kingma, Welling 2014, arXiv 1312.6114): log p(x) from below."""

from functools import partial
from typing import Annotated

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits

from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.media.images import from_levels, to_levels
from zoo.metrics.likelihood import discrete_nll, iwae
from zoo.networks import logistic_mixture as logistics
from zoo.networks.autoencoder import Decoder, Encoder
from zoo.plots.manifold import manifold
from zoo.plots.reconstructions import reconstructions
from zoo.precision import at_least_float32

ACTIVE = 0.01  # the variance over images of E[z | x] above which Burda et al. call a unit active


class VAE(GenerativeModule):
    """Encoder q(z | x) and decoder p(x | z), both trained to raise the evidence lower bound.

    likelihood: what the decoder says of a sub-pixel's level: "bernoulli", whether it is the upper
    of two; "gaussian", a mean, with one variance that is learned for all, a density of pixels
    spread
    over their bins; "logistic", a mean and a scale, with the mass of each level's bin. num_levels:
    images are quantised to so many; 2 for "bernoulli". network: "mlp" or "conv".

    beta: weight of the KL term (Higgins et al. 2017), which it reaches after `warmup` batches
    (Sønderby et al. 2016). importance_samples: k of the bound that is raised, above 1 that of Burda
    et al. 2016 (arXiv 1509.00519); evaluation_samples: k of the one that is measured.

    Samples are means of p(x | z), not draws of each pixel by itself.

    Deviations from Burda et al.: one rate, Adam's own epsilon, and torch's initialisation.
    """

    likelihood_kind = "bound"

    def __init__(
        self,
        image_size: int = 28,
        image_channels: int = 1,
        latent_dim: int = 50,
        network: str = "mlp",
        width: int = 200,
        likelihood: str = "bernoulli",
        num_levels: int = 2,
        beta: Annotated[float, "[0, inf)"] = 1.0,
        warmup: int = 0,
        importance_samples: int = 1,
        evaluation_samples: int = 64,
        lr: float = 1e-3,
        **shared,
    ):
        if likelihood not in ("bernoulli", "gaussian", "logistic"):
            raise ValueError(
                f"model.likelihood={likelihood}: there are bernoulli, gaussian, logistic."
            )
        if (likelihood == "bernoulli") != (num_levels == 2):
            wanted = "2" if likelihood == "bernoulli" else "more than 2"
            raise ValueError(
                f"model.likelihood={likelihood} needs model.num_levels of {wanted}, not "
                f"{num_levels}."
            )
        if importance_samples > 1 and (beta != 1 or warmup):
            raise ValueError("model.importance_samples above 1 has no KL term: beta=1 warmup=0.")
        super().__init__(**shared)
        self.encoder = self.build_encoder()
        self.decoder = self.build_decoder()
        self.log_sigma = nn.ParameterList([torch.zeros(())] if likelihood == "gaussian" else [])

    def build_encoder(self):
        hp = self.hparams
        shape = hp.image_size, hp.image_channels
        return Encoder(hp.network, *shape, 2 * hp.latent_dim, hp.width, self.condition_size())

    def build_decoder(self):
        hp = self.hparams
        outputs = hp.image_channels * (2 if hp.likelihood == "logistic" else 1)
        shape = hp.image_size, outputs
        return Decoder(hp.network, *shape, hp.latent_dim, hp.width, self.condition_size())

    def condition_size(self):
        """How many numbers a conditional descendant gives both networks beside their input."""
        return 0

    def condition(self, batch):
        """They themselves, (N, condition_size), or None."""
        return None

    def prior(self, count):
        return torch.randn(count, self.hparams.latent_dim, device=self.device, dtype=self.dtype)

    def conditional_prior(self, batch):
        """p(z), a Normal of (1 or N, Z)."""
        zero = torch.zeros(1, self.hparams.latent_dim, device=self.device, dtype=self.dtype)
        return Normal(zero, torch.ones_like(zero), validate_args=False)

    def posterior(self, batch):
        """q(z | x), a Normal of (N, Z)."""
        images = (self.quantized(batch["image"]) + 1) / 2  # black, which most pixels are, is 0
        outputs = at_least_float32(self.encoder(images, self.condition(batch)))
        mean, logvar = outputs.chunk(2, dim=1)
        return Normal(mean, (logvar / 2).exp(), validate_args=False)

    def decode(self, latent, condition):
        """The decoder's outputs for latents (N, Z) of any precision."""
        return self.decoder(latent.to(self.dtype), condition)

    def quantized(self, images):
        """Images at the nearest of the model's levels."""
        levels = to_levels(images, self.hparams.num_levels)
        return from_levels(levels, self.hparams.num_levels).to(self.dtype)

    def mean(self, outputs):
        """What the decoder's outputs mean as images in [-1, 1]."""
        if self.hparams.likelihood == "bernoulli":
            return 2 * outputs.sigmoid() - 1
        return outputs[:, : self.hparams.image_channels].clamp(-1, 1)

    def sample(self, count, condition=None):
        check_conditions(self, count, condition)
        condition = condition or {}
        latent = condition["latent"] if "latent" in condition else self.prior(count)
        return self.mean(self.decode(latent, self.condition(condition)))

    def reconstruct(self, batch):
        """Images (N, C, H, W) of the means of q(z | x)."""
        return self.mean(self.decode(self.posterior(batch).mean, self.condition(batch)))

    def log_likelihood(self, outputs, images):
        """log p(x | z), (N, C, H, W) in nats, of images in [-1, 1]; float32 at least."""
        hp, outputs = self.hparams, at_least_float32(outputs)
        if hp.likelihood == "bernoulli":
            upper = to_levels(images, 2).to(outputs.dtype)
            return -binary_cross_entropy_with_logits(outputs, upper, reduction="none")
        levels, half_bin = to_levels(images, hp.num_levels), 1 / (hp.num_levels - 1)
        images = from_levels(levels.to(outputs.dtype), hp.num_levels)
        if hp.likelihood == "gaussian":
            noise = torch.rand(*images.shape, device=images.device, dtype=images.dtype)
            spread = images + half_bin * (2 * noise - 1)
            sigma = at_least_float32(self.log_sigma[0]).exp()
            law = Normal(outputs, sigma, validate_args=False)
            return -discrete_nll(-law.log_prob(spread), 1, 2 * half_bin)
        mean, log_scale = outputs.chunk(2, dim=1)
        lowest, highest = levels == 0, levels == hp.num_levels - 1
        scale = log_scale.clamp(min=-7)
        return logistics.log_mass(images - mean, scale, half_bin, lowest, highest)

    def terms_of(self, batch):
        """log p(x | z) of one z ~ q(z | x) for each image, and KL(q || p): (N,) both."""
        posterior = self.posterior(batch)
        noise = torch.randn(*posterior.mean.shape, device=self.device, dtype=self.dtype)
        outputs = self.decode(posterior.mean + posterior.stddev * noise, self.condition(batch))
        divergence = kl_divergence(posterior, self.conditional_prior(batch)).sum(dim=1)
        return self.log_likelihood(outputs, batch["image"]).flatten(1).sum(dim=1), divergence

    def log_weights(self, batch, count):
        """log p(x, z) - log q(z | x), (count, N), of `count` draws z ~ q(z | x)."""
        posterior, prior = self.posterior(batch), self.conditional_prior(batch)
        size = len(batch["image"])
        noise = torch.randn(
            size, count, self.hparams.latent_dim, device=self.device, dtype=self.dtype
        )
        latent = posterior.mean + posterior.stddev * noise.transpose(0, 1)  # (k, N, Z)
        condition = self.condition(batch)
        condition = None if condition is None else condition.repeat(count, 1)
        outputs = self.decode(latent.flatten(0, 1), condition)
        images = batch["image"].repeat(count, 1, 1, 1)
        likelihood = self.log_likelihood(outputs, images).flatten(1).sum(dim=1).view(count, size)
        return likelihood + (prior.log_prob(latent) - posterior.log_prob(latent)).sum(dim=2)

    def nll(self, batch):
        """-ELBO, (N,) in nats: an upper bound on -log p(x)."""
        likelihood, divergence = self.terms_of(batch)
        return divergence - likelihood

    def iwae_nll(self, count, batch, at_once=100):
        """The importance-weighted bound on -log p(x), (N,) in nats, of `count` draws."""
        counts = [min(at_once, count - start) for start in range(0, count, at_once)]
        return -iwae(torch.cat([self.log_weights(batch, part) for part in counts]))

    def estimates(self):
        """{kind: function of a batch}: what is measured, see zoo.metrics.likelihood."""
        count = self.hparams.evaluation_samples
        return {"bound": self.nll, f"iwae_{count}": partial(self.iwae_nll, count)}

    def training_step(self, batch, batch_idx):
        self.log_losses(**self.raise_bound(self.optimizers(), batch))

    def raise_bound(self, optimizer, batch):
        """One turn of encoder and decoder, and what is to be logged of it."""
        hp = self.hparams
        with self.turn(optimizer):
            if hp.importance_samples > 1:
                loss = -iwae(self.log_weights(batch, hp.importance_samples)).mean()
                losses = {"nats": loss}
            else:
                likelihood, divergence = (term.mean() for term in self.terms_of(batch))
                weight = hp.beta * min(1, self.clock / hp.warmup if hp.warmup else 1)
                loss = weight * divergence - likelihood
                losses = {"nats": divergence - likelihood, "kl": divergence}
            self.manual_backward(loss)
        return losses

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)

    def measure(self, data, split):
        """The number of latents that say something of the image (Burda et al. 2016, section 4)."""
        means = []
        for batch in data.loader(split):
            means.append(self.posterior(data.prepare_batch(batch, self)).mean)
        return self.activity(torch.cat(means), split) if means else {}

    def activity(self, means, split):
        """{active_units_SPLIT: number}, with a warning where almost none is, of means (N, Z)."""
        active = int((means.var(dim=0) > ACTIVE).sum())
        untrained = self._trainer is not None and self._trainer.global_step == 0
        if active <= self.hparams.latent_dim // 10 and not untrained:
            rank_zero_warn(
                f"Posterior collapse: {active} of {self.hparams.latent_dim} latents depend on the "
                "image. model.warmup=5000, or a smaller model.beta, may help."
            )
        return {f"active_units_{split}": active}

    def figures(self, data):
        shown = {"manifold": manifold(self)} if self.hparams.latent_dim == 2 else {}
        return shown | reconstructions(self, data)
