"""Generative adversarial nets (Goodfellow et al. 2014, arXiv 1406.2661), Algorithm 1."""

import torch

from zoo import networks
from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.losses import (
    gan_discriminator_loss,
    minimax_generator_loss,
    nonsaturating_generator_loss,
)
from zoo.networks import spectral_norm as spectral


class GAN(GenerativeModule):
    """A generator against a discriminator; a batch is one step of the discriminator.

    network: the pair of networks, see zoo.networks; saturating: the minimax loss of eq. 1 for the
    generator, and not the one of section 3. discriminator_steps: the paper's k. Of use to its
    descendants too: discriminator_lr, where the players' rates differ (TTUR, Heusel et al. 2017,
    arXiv 1706.08500), label_smoothing of the real images (Salimans et al. 2016), spectral_norm of
    the discriminator, which is then built without batch norm: a gain would undo it.

    Deviations from the paper, all of them what has been usual since DCGAN: Adam instead of SGD with
    momentum, leaky ReLU instead of maxout and dropout, normal instead of uniform noise.
    """

    def __init__(
        self,
        image_size: int = 28,
        image_channels: int = 1,
        latent_dim: int = 100,
        network: str = "mlp",
        width: int = 512,
        lr: float = 2e-4,
        discriminator_lr: float | None = None,
        beta1: float = 0.5,
        beta2: float = 0.999,
        discriminator_steps: int = 1,
        saturating: bool = False,
        label_smoothing: float = 0.0,
        spectral_norm: bool = False,
        **shared,
    ):
        super().__init__(**shared)
        self.generator = self.build_generator()
        self.discriminator = self.build_discriminator()
        if self.hparams.spectral_norm:
            spectral.add_spectral_norm_(self.discriminator)

    def build_generator(self):
        hp, network = self.hparams, networks.by_name(self.hparams.network)
        return network.generator(hp.image_size, hp.image_channels, hp.latent_dim, hp.width)

    def build_discriminator(self):
        hp, network = self.hparams, networks.by_name(self.hparams.network)
        norm = {"norm": False} if hp.spectral_norm else {}
        return network.discriminator(hp.image_size, hp.image_channels, hp.width, **norm)

    def prior(self, count):
        return torch.randn(count, self.hparams.latent_dim, device=self.device, dtype=self.dtype)

    def sample(self, count, condition=None):
        check_conditions(self, count, condition)
        latent = condition["latent"] if condition and "latent" in condition else self.prior(count)
        return self.generator(latent)

    def inputs(self, count, condition):
        """The latents and labels that a class-conditional descendant is given, or else draws."""
        condition = condition or {}
        latent = condition["latent"] if "latent" in condition else self.prior(count)
        return latent, condition["label"] if "label" in condition else self.draw_labels(count)

    def draw_labels(self, count):
        return torch.randint(self.hparams.classes, (count,), device=self.device)

    def discriminate(self, images, batch):
        """The discriminator's logits (N,) of images, under the conditions of a batch."""
        return self.discriminator(images)

    def training_step(self, batch, batch_idx):
        discriminator_optimizer, generator_optimizer = self.optimizers()

        with self.turn(discriminator_optimizer):
            discriminator_loss = self.discriminator_loss(batch)
            self.manual_backward(discriminator_loss)
        losses = {"discriminator_loss": discriminator_loss}

        if self.every(self.hparams.discriminator_steps):
            with self.turn(generator_optimizer):
                generator_loss = self.generator_loss(batch)
                self.manual_backward(generator_loss)
            losses["generator_loss"] = generator_loss
        self.log_losses(**losses)

    def discriminator_loss(self, batch):
        real = batch["image"]
        with torch.no_grad():
            fake = self.sample(len(real), batch)
        logits = self.discriminate(real, batch), self.discriminate(fake, batch)
        return gan_discriminator_loss(*logits, self.hparams.label_smoothing)

    def generator_loss(self, batch):
        logit = self.discriminate(self.sample(len(batch["image"]), batch), batch)
        if self.hparams.saturating:
            return minimax_generator_loss(logit)
        return nonsaturating_generator_loss(logit)

    def configure_optimizers(self):
        hp = self.hparams
        rates = hp.lr if hp.discriminator_lr is None else hp.discriminator_lr, hp.lr
        players = self.discriminator, self.generator
        return [
            torch.optim.Adam(player.parameters(), lr=lr, betas=(hp.beta1, hp.beta2))
            for player, lr in zip(players, rates, strict=True)
        ]
