"""Variational autoencoder (Kingma, Welling 2014, arXiv 1312.6114), with the IWAE bound."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Optimizer

from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.media.images import from_levels, to_levels
from zoo.metrics.active_units import active_units
from zoo.metrics.likelihood import discrete_nll, iwae
from zoo.networks import logistic_mixture as logistics
from zoo.networks.autoencoder import Decoder, Encoder
from zoo.plots.manifold import manifold
from zoo.plots.reconstructions import reconstructions
from zoo.precision import at_least_float32

LIKELIHOODS = ("bernoulli", "gaussian", "logistic")


class VAE(GenerativeModule):
    """Encoder q(z | x) and decoder p(x | z), both trained to maximize the ELBO.

    `sample` returns the means of p(x | z), without independent pixel noise.

    Deviations from Burda et al. 2016: the learning rate is constant. Adam's epsilon and the weight
    initialization are PyTorch's defaults.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        latent_dim: Size Z of the latent.
        network: Architecture of both networks, "mlp" or "conv".
        width: Hidden units of the MLPs, or feature maps of the first convolution.
        likelihood: p(x | z) of a sub-pixel: "bernoulli" for binary images; "gaussian", a density
            with one learned variance on dequantized images; or "logistic", discretized, with a mean
            and a scale for each sub-pixel.
        num_levels: Number of gray levels that images are quantized to; 2 for "bernoulli".
        beta: Weight of the KL term (Higgins et al. 2017).
        warmup: Batches over which the weight of the KL term rises linearly from 0 to `beta`
            (Sønderby et al. 2016).
        importance_samples: Number of importance samples k in training. Above 1 the objective is the
            IWAE bound (Burda et al. 2016, arXiv 1509.00519).
        evaluation_samples: Number of importance samples k of the IWAE bound in evaluation.
        lr: Learning rate of Adam.
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
        check_likelihood(likelihood, num_levels)
        if importance_samples > 1 and (beta != 1 or warmup):
            raise ValueError(
                "model.importance_samples above 1 has no KL term: set model.beta=1 model.warmup=0."
            )
        super().__init__(**shared)
        self.encoder = self.build_encoder()
        self.decoder = self.build_decoder()
        self.log_sigma = nn.ParameterList([torch.zeros(())] if likelihood == "gaussian" else [])

    def build_encoder(self) -> nn.Module:
        """Build the network from images (N, C, H, W) in [0, 1] to mean and logvar (N, 2 Z)."""
        hp = self.hparams
        shape = hp.image_size, hp.image_channels
        return Encoder(hp.network, *shape, 2 * hp.latent_dim, hp.width, self.condition_size())

    def build_decoder(self) -> nn.Module:
        """Build the network from latents (N, Z) to parameters of p(x | z), (N, C or 2 C, H, W)."""
        hp = self.hparams
        outputs = hp.image_channels * (2 if hp.likelihood == "logistic" else 1)
        shape = hp.image_size, outputs
        return Decoder(hp.network, *shape, hp.latent_dim, hp.width, self.condition_size())

    def condition_size(self) -> int:
        """Return the number of features that both networks are conditioned on."""
        return 0

    def condition(self, batch: dict[str, Tensor]) -> Tensor | None:
        """Return the features (N, condition_size) that the networks are conditioned on."""
        return None

    def prior(self, count: int) -> Tensor:
        """Sample latents (N, Z) from N(0, I)."""
        return torch.randn(count, self.hparams.latent_dim, device=self.device, dtype=self.dtype)

    def conditional_prior(self, batch: dict[str, Tensor]) -> Normal:
        """Return p(z), or p(z | condition) in a subclass: a Normal of (1 or N, Z)."""
        zero = torch.zeros(1, self.hparams.latent_dim, device=self.device, dtype=self.dtype)
        return Normal(zero, torch.ones_like(zero), validate_args=False)

    def posterior(self, batch: dict[str, Tensor]) -> Normal:
        """Return q(z | x), a Normal of (N, Z)."""
        images = (self.quantized(batch["image"]) + 1) / 2  # black, the most frequent value, is 0
        outputs = at_least_float32(self.encoder(images, self.condition(batch)))  # (N, 2 Z)
        mean, logvar = outputs.chunk(2, dim=1)
        return Normal(mean, (logvar / 2).exp(), validate_args=False)

    def decode(self, latent: Tensor, condition: Tensor | None) -> Tensor:
        """Return the decoder's outputs (N, C or 2 C, H, W) for latents (N, Z)."""
        return self.decoder(latent.to(self.dtype), condition)

    def quantized(self, images: Tensor) -> Tensor:
        """Return images with each value at the nearest of the model's levels."""
        levels = to_levels(images, self.hparams.num_levels)
        return from_levels(levels, self.hparams.num_levels).to(self.dtype)

    def mean_image(self, outputs: Tensor) -> Tensor:
        """Return the means (N, C, H, W) in [-1, 1] of p(x | z) with the decoder's outputs."""
        if self.hparams.likelihood == "bernoulli":
            return 2 * outputs.sigmoid() - 1
        return outputs[:, : self.hparams.image_channels].clamp(-1, 1)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        condition = condition or {}
        latent = condition["latent"] if "latent" in condition else self.prior(count)
        return self.mean_image(self.decode(latent, self.condition(condition)))

    def reconstruct(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the images (N, C, H, W) decoded from the means of q(z | x)."""
        return self.mean_image(self.decode(self.posterior(batch).mean, self.condition(batch)))

    def log_likelihood(self, outputs: Tensor, images: Tensor) -> Tensor:
        """Return log p(x | z) of each sub-pixel, (N, C, H, W) in nats and at least float32.

        Args:
            outputs: The decoder's outputs, (N, C or 2 C, H, W).
            images: (N, C, H, W) in [-1, 1].
        """
        hp, outputs = self.hparams, at_least_float32(outputs)
        if hp.likelihood == "bernoulli":
            upper = to_levels(images, 2).to(outputs.dtype)
            return -binary_cross_entropy_with_logits(outputs, upper, reduction="none")
        levels, half_bin = to_levels(images, hp.num_levels), 1 / (hp.num_levels - 1)
        images = from_levels(levels.to(outputs.dtype), hp.num_levels)
        if hp.likelihood == "gaussian":
            noise = torch.rand(*images.shape, device=images.device, dtype=images.dtype)
            dequantized = images + half_bin * (2 * noise - 1)
            sigma = at_least_float32(self.log_sigma[0]).exp()
            density = Normal(outputs, sigma, validate_args=False)
            return -discrete_nll(-density.log_prob(dequantized), 1, 2 * half_bin)
        mean, log_scale = outputs.chunk(2, dim=1)
        lowest, highest = levels == 0, levels == hp.num_levels - 1
        scale = log_scale.clamp(min=-7)
        return logistics.log_mass(images - mean, scale, half_bin, lowest, highest)

    def elbo_terms(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return log p(x | z) for one z ~ q(z | x) per image, and KL(q || p), both (N,)."""
        posterior = self.posterior(batch)
        noise = torch.randn(*posterior.mean.shape, device=self.device, dtype=self.dtype)
        latent = posterior.mean + posterior.stddev * noise  # (N, Z)
        outputs = self.decode(latent, self.condition(batch))
        divergence = kl_divergence(posterior, self.conditional_prior(batch)).sum(dim=1)
        return self.log_likelihood(outputs, batch["image"]).flatten(1).sum(dim=1), divergence

    def log_weights(self, batch: dict[str, Tensor], count: int) -> Tensor:
        """Return log p(x, z) - log q(z | x), (count, N), of `count` samples z ~ q(z | x)."""
        posterior, prior = self.posterior(batch), self.conditional_prior(batch)
        size, latent_dim = len(batch["image"]), self.hparams.latent_dim
        noise = torch.randn(size, count, latent_dim, device=self.device, dtype=self.dtype)
        latent = posterior.mean + posterior.stddev * noise.transpose(0, 1)  # (k, N, Z)
        condition = self.condition(batch)
        condition = None if condition is None else condition.repeat(count, 1)
        outputs = self.decode(latent.flatten(0, 1), condition)  # (k N, ...)
        images = batch["image"].repeat(count, 1, 1, 1)
        likelihood = self.log_likelihood(outputs, images).flatten(1).sum(dim=1).view(count, size)
        return likelihood + (prior.log_prob(latent) - posterior.log_prob(latent)).sum(dim=2)

    def nll(self, batch: dict[str, Tensor]) -> Tensor:
        """Return -ELBO, (N,) in nats: an upper bound on -log p(x)."""
        likelihood, divergence = self.elbo_terms(batch)
        return divergence - likelihood

    def iwae_nll(self, count: int, batch: dict[str, Tensor], chunk: int = 100) -> Tensor:
        """Return the importance-weighted bound on -log p(x), (N,) in nats.

        Args:
            count: Number k of samples of q(z | x).
            batch: With `image` (N, C, H, W).
            chunk: Number of samples that are decoded at once, to limit memory.
        """
        counts = [min(chunk, count - start) for start in range(0, count, chunk)]
        return -iwae(torch.cat([self.log_weights(batch, part) for part in counts]))

    def estimates(self) -> dict[str, Callable[[dict[str, Tensor]], Tensor]]:
        """Return {kind: function from a batch to (N,) nats}. See zoo.metrics.likelihood."""
        count = self.hparams.evaluation_samples
        return {"bound": self.nll, f"iwae_{count}": partial(self.iwae_nll, count)}

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.log_losses(**self.update(self.optimizers(), batch))

    def update(self, optimizer: LightningOptimizer, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Update encoder and decoder in one turn, and return the losses to log."""
        hp = self.hparams
        with self.turn(optimizer):
            if hp.importance_samples > 1:
                loss = -iwae(self.log_weights(batch, hp.importance_samples)).mean()
                losses = {"nats": loss}
            else:
                likelihood, divergence = (term.mean() for term in self.elbo_terms(batch))
                weight = hp.beta * min(1, self.clock / hp.warmup if hp.warmup else 1)
                loss = weight * divergence - likelihood
                losses = {"nats": divergence - likelihood, "kl": divergence}
            self.manual_backward(loss)
        return losses

    def configure_optimizers(self) -> Optimizer | list[Optimizer]:
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)

    def measure(self, data: Any, split: str) -> dict[str, float]:
        return active_units(self, data, split)

    def figures(self, data: Any) -> dict[str, Tensor]:
        figures = {"manifold": manifold(self)} if self.hparams.latent_dim == 2 else {}
        return figures | reconstructions(self, data)


def check_likelihood(likelihood: str, num_levels: int) -> None:
    """Raise ValueError for an unknown likelihood, or one that does not fit the gray levels."""
    if likelihood not in LIKELIHOODS:
        raise ValueError(f"model.likelihood={likelihood}: choose one of {', '.join(LIKELIHOODS)}.")
    if (likelihood == "bernoulli") != (num_levels == 2):
        expected = "2" if likelihood == "bernoulli" else "more than 2"
        raise ValueError(
            f"model.likelihood={likelihood} needs model.num_levels of {expected}, not {num_levels}."
        )
