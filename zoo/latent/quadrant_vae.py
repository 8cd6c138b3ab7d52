"""Conditional VAE for structured output (Sohn, Lee, Yan 2015): complete images from quadrants."""

from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.optim import Optimizer

from zoo.config.fixed_parameters import with_fixed
from zoo.engine.conditions import check_conditions
from zoo.latent.vae import VAE
from zoo.metrics.quadrant_nll import completion_errors
from zoo.networks.autoencoder import Encoder
from zoo.plots.completions import beside_samples, occluded
from zoo.plots.grids import as_images
from zoo.plots.held_out import held_out_inputs
from zoo.precision import at_least_float32

# Number of visible quadrants -> (row, column) of the hidden ones.
HIDDEN = {1: [(0, 0), (0, 1), (1, 1)], 2: [(0, 1), (1, 1)], 3: [(0, 1)]}


class QuadrantVAE(VAE):
    """VAE of the hidden part y of a binary image, conditioned on the visible part x: p(y | x).

    A baseline without latents predicts a first guess of y. The prior p(z | x) and the decoder p(y |
    x, z) are conditioned on x and the guess, and the encoder q(z | x, y) also on the whole image.
    Likelihoods are those of the hidden pixels. `sample` completes images. condition["latent"] is
    noise ε ~ N(0, I). The latent is z = mean + stddev ε, with mean and stddev of p(z | x).

    Deviation: all networks are trained together. The paper trains the baseline first.

    Args:
        quadrants: Number of visible quadrants. With 1 the lower left quadrant is visible, with 2
            the left half, and with 3 all but the upper right quadrant.
    """

    conditions = ("image",)
    hidden: Tensor

    def __init__(self, quadrants: Annotated[int, "[1, 3]"] = 1, **vae):
        super().__init__(**with_fixed(self, vae, {"likelihood": "bernoulli", "num_levels": 2}))
        hp = self.hparams
        self.baseline = self.build_baseline()
        self.prior_network = self.build_prior()
        hidden = torch.zeros(1, 1, hp.image_size, hp.image_size, dtype=torch.bool)
        halves = slice(hp.image_size // 2), slice(hp.image_size // 2, None)
        for row, column in HIDDEN[hp.quadrants]:
            hidden[..., halves[row], halves[column]] = True
        self.register_buffer("hidden", hidden, persistent=False)
        self.dimensions = hp.image_channels * int(hidden.sum())
        self.condition_parts = (f"quadrants{hp.quadrants}",)

    def build_baseline(self) -> nn.Module:
        """Build the network from images (N, C, H, W) to logits (N, C H W)."""
        return self._encoder(self.condition_size())

    def build_prior(self) -> nn.Module:
        """Build the network from images (N, C, H, W) to mean and logvar (N, 2 Z)."""
        return self._encoder(2 * self.hparams.latent_dim)

    def _encoder(self, outputs: int) -> nn.Module:
        hp = self.hparams
        return Encoder(hp.network, hp.image_size, hp.image_channels, outputs, hp.width)

    def condition_size(self) -> int:
        return self.hparams.image_channels * self.hparams.image_size**2

    def condition(self, batch: dict[str, Tensor]) -> Tensor:
        return self.with_guess(batch)["guess"].flatten(1)  # (N, C H W)

    def with_guess(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the batch with `guess`, which conditions all networks but the baseline."""
        return batch if "guess" in batch else batch | {"guess": self.guess(batch["image"])}

    def guess_logits(self, images: Tensor) -> Tensor:
        """Return the baseline's logits (N, C, H, W), computed from the visible pixels of images."""
        visible = self.quantized(images).masked_fill(self.hidden, 0)
        return self.baseline(visible).view_as(images)

    @torch.no_grad()
    def guess(self, images: Tensor) -> Tensor:
        """Return images (N, C, H, W) with the baseline's means in place of hidden pixels."""
        means = 2 * self.guess_logits(images).sigmoid() - 1
        return torch.where(self.hidden, means, self.quantized(images))

    def conditional_prior(self, batch: dict[str, Tensor]) -> Normal:
        outputs = at_least_float32(self.prior_network(self.with_guess(batch)["guess"]))  # (N, 2 Z)
        mean, logvar = outputs.chunk(2, dim=1)
        return Normal(mean, (logvar / 2).exp(), validate_args=False)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        condition = condition or {}
        noise = condition["latent"] if "latent" in condition else self.prior(count)
        batch = self.with_guess({"image": condition["image"]})
        prior = self.conditional_prior(batch)
        samples = super().sample(count, batch | {"latent": prior.mean + prior.stddev * noise})
        return torch.where(self.hidden, samples, self.quantized(batch["image"]))

    def elbo_terms(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return super().elbo_terms(self.with_guess(batch))

    def log_weights(self, batch: dict[str, Tensor], count: int) -> Tensor:
        return super().log_weights(self.with_guess(batch), count)

    def log_likelihood(self, outputs: Tensor, images: Tensor) -> Tensor:
        """Return log p(y | x, z) of each sub-pixel, (N, C, H, W); 0 for visible ones."""
        return super().log_likelihood(outputs, images) * self.hidden

    def baseline_nll(self, batch: dict[str, Tensor]) -> Tensor:
        """Return -log p(y) of the hidden pixels under the baseline, (N,) in nats."""
        likelihood = self.log_likelihood(self.guess_logits(batch["image"]), batch["image"])
        return -likelihood.flatten(1).sum(dim=1)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        baseline_optimizer, optimizer = self.optimizers()
        with self.turn(baseline_optimizer):
            baseline_nll = self.baseline_nll(batch).mean()
            self.manual_backward(baseline_nll)
        losses = self.update(optimizer, batch)
        self.log_losses(baseline_nll=baseline_nll, **losses)

    def configure_optimizers(self) -> list[Optimizer]:
        vae = [self.encoder, self.decoder, self.prior_network]
        return [
            torch.optim.Adam([p for player in turn for p in player.parameters()], self.hparams.lr)
            for turn in ([self.baseline], vae)
        ]

    def measure(self, data: Any, split: str) -> dict[str, float]:
        return completion_errors(self, data, split)

    def figures(self, data: Any) -> dict[str, Tensor]:
        """Draw test images, their visible part, the baseline's guess, and five samples of each."""
        batch = held_out_inputs(self, data, 6)
        if batch is None:
            return {}
        real, guess = (
            as_images(self, images)[:, None]
            for images in (self.quantized(batch["image"]), self.guess(batch["image"]))
        )
        columns = {"real": real, "visible": occluded(real, self.hidden), "guess": guess}
        return {"completions": beside_samples(self, batch, columns, count=5)}
