"""Structured output by a conditional VAE (Sohn, Lee, Yan 2015): an image from some quadrants."""

from typing import Annotated

import torch
from torch.distributions import Normal

from zoo.engine.conditions import check_conditions
from zoo.latent.vae import VAE
from zoo.metrics.quadrant_nll import completion_errors
from zoo.networks.autoencoder import Encoder
from zoo.plots.completions import beside_samples, occluded
from zoo.plots.grids import as_images
from zoo.plots.held_out import held_out_inputs
from zoo.precision import at_least_float32

# How many quadrants are known -> rows and columns of those that are hidden, in halves of the image.
HIDDEN = {1: [(0, 0), (0, 1), (1, 1)], 2: [(0, 1), (1, 1)], 3: [(0, 1)]}


class QuadrantVAE(VAE):
    """What is hidden of an image, y, given what is known of it, x: p(y | x) of black and white.

    quadrants: 1, the lower left one is known; 2, the left half; 3, all but the upper right one. A
    baseline without latents makes a first guess; p(z | x) and p(y | x, z) are given x and the
    guess, q(z | x, y) the whole image too. Likelihoods are those of the hidden pixels. `sample`
    completes images; latents that it is given are noise in units of p(z | x).

    Deviation: the baseline learns beside the rest, not before it.
    """

    conditions = ("image",)

    def __init__(self, quadrants: Annotated[int, "[1, 3]"] = 1, **vae):
        if vae.get("likelihood", "bernoulli") != "bernoulli" or vae.get("num_levels", 2) != 2:
            raise ValueError(
                "QuadrantVAE needs binary images: model.likelihood=bernoulli, model.num_levels=2."
            )
        super().__init__(**vae | {"likelihood": "bernoulli", "num_levels": 2})
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

    def build_baseline(self):
        """(N, C, H, W) -> (N, C H W) logits"""
        return self._encoder(self.condition_size())

    def build_prior(self):
        """(N, C, H, W) -> (N, 2 Z)"""
        return self._encoder(2 * self.hparams.latent_dim)

    def _encoder(self, outputs):
        hp = self.hparams
        return Encoder(hp.network, hp.image_size, hp.image_channels, outputs, hp.width)

    def condition_size(self):
        return self.hparams.image_channels * self.hparams.image_size**2

    def condition(self, batch):
        return self.guessing(batch)["guess"].flatten(1)

    def guessing(self, batch):
        """A batch with its `guess`, which all networks but the baseline are given."""
        return batch if "guess" in batch else batch | {"guess": self.guessed(batch["image"])}

    def guess(self, images):
        """The baseline's logits (N, C, H, W), by the known pixels of images."""
        known = self.quantized(images).masked_fill(self.hidden, 0)
        return self.baseline(known).view_as(images)

    @torch.no_grad()
    def guessed(self, images):
        """Images (N, C, H, W) whose hidden pixels are the baseline's means."""
        means = 2 * self.guess(images).sigmoid() - 1
        return torch.where(self.hidden, means, self.quantized(images))

    def conditional_prior(self, batch):
        outputs = at_least_float32(self.prior_network(self.guessing(batch)["guess"]))
        mean, logvar = outputs.chunk(2, dim=1)
        return Normal(mean, (logvar / 2).exp(), validate_args=False)

    def sample(self, count, condition=None):
        check_conditions(self, count, condition)
        latent = condition["latent"] if "latent" in condition else self.prior(count)
        batch = self.guessing({"image": condition["image"]})
        prior = self.conditional_prior(batch)
        drawn = super().sample(count, batch | {"latent": prior.mean + prior.stddev * latent})
        return torch.where(self.hidden, drawn, self.quantized(batch["image"]))

    def terms_of(self, batch):
        return super().terms_of(self.guessing(batch))

    def log_weights(self, batch, count):
        return super().log_weights(self.guessing(batch), count)

    def log_likelihood(self, outputs, images):
        return super().log_likelihood(outputs, images) * self.hidden

    def baseline_nll(self, batch):
        """-log p of the hidden pixels by the baseline's guess, (N,)."""
        likelihood = self.log_likelihood(self.guess(batch["image"]), batch["image"])
        return -likelihood.flatten(1).sum(dim=1)

    def training_step(self, batch, batch_idx):
        baseline_optimizer, optimizer = self.optimizers()
        with self.turn(baseline_optimizer):
            baseline_nll = self.baseline_nll(batch).mean()
            self.manual_backward(baseline_nll)
        losses = self.raise_bound(optimizer, batch)
        self.log_losses(baseline_nll=baseline_nll, **losses)

    def configure_optimizers(self):
        bound = [self.encoder, self.decoder, self.prior_network]
        return [
            torch.optim.Adam([p for player in turn for p in player.parameters()], self.hparams.lr)
            for turn in ([self.baseline], bound)
        ]

    def measure(self, data, split):
        return completion_errors(self, data, split)

    def figures(self, data):
        """Test images, what is known of them, the guess, and five draws."""
        batch = held_out_inputs(self, data, 6)
        if batch is None:
            return {}
        real, guess = (
            as_images(self, images)[:, None]
            for images in (self.quantized(batch["image"]), self.guessed(batch["image"]))
        )
        shown = [real, occluded(real, self.hidden), guess]
        return {"completions": beside_samples(self, batch, shown, count=5)}
