"""Generative adversarial nets (Goodfellow et al. 2014, arXiv 1406.2661), Algorithm 1."""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo import networks
from zoo.base import GenerativeModule
from zoo.engine.batch_checks import check_scores
from zoo.engine.conditions import check_conditions, draw_labels
from zoo.losses import (
    gan_discriminator_loss,
    minimax_generator_loss,
    nonsaturating_generator_loss,
)
from zoo.networks import spectral_norm as spectral


class GAN(GenerativeModule):
    """A generator trained against a discriminator. Each batch is one step of the discriminator.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        latent_dim: Size of the latents, which are standard normal.
        network: Pair of networks, a module in zoo/networks such as mlp, dcgan or resnet.
        width: Units or channels of the networks' layers.
        lr: Adam's learning rate.
        discriminator_lr: Learning rate of the discriminator (TTUR, Heusel et al. 2017, arXiv
            1706.08500). Default: lr.
        beta1: Adam's beta1.
        beta2: Adam's beta2.
        discriminator_steps: Number of discriminator steps per generator step, the paper's k.
        saturating: Train the generator with the minimax loss of eq. 1 instead of the non-saturating
            loss of section 3.
        label_smoothing: One-sided label smoothing (Salimans et al. 2016, arXiv 1606.03498): the
            target of real images is 1 - label_smoothing.
        spectral_norm: Use spectral normalization in the discriminator, and no batch norm, whose
            gain would undo the normalization.

    Deviations from the paper: Adam instead of SGD with momentum. Normal instead of uniform noise.
    Leaky ReLU instead of maxout and dropout.
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

    def build_generator(self) -> nn.Module:
        """Latents (N, Z) -> images (N, C, H, W) in [-1, 1]."""
        hp, network = self.hparams, networks.by_name(self.hparams.network)
        return network.generator(hp.image_size, hp.image_channels, hp.latent_dim, hp.width)

    def build_discriminator(self) -> nn.Module:
        """Images (N, C, H, W) -> logits (N,)."""
        hp, network = self.hparams, networks.by_name(self.hparams.network)
        norm = {"norm": False} if hp.spectral_norm else {}
        return network.discriminator(hp.image_size, hp.image_channels, hp.width, **norm)

    def prior(self, count: int) -> Tensor:
        """Sample latents (count, Z)."""
        return torch.randn(count, self.hparams.latent_dim, device=self.device, dtype=self.dtype)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        latent = condition["latent"] if condition and "latent" in condition else self.prior(count)
        return self.generator(latent)

    def latents_and_labels(
        self, count: int, condition: dict[str, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """Return the inputs of a class-conditional generator, and sample those that are missing.

        Args:
            count: Number of samples.
            condition: As for `sample`, with "latent" and "label" both optional.

        Returns:
            Latents (count, Z) and labels (count,).
        """
        condition = condition or {}
        latent = condition["latent"] if "latent" in condition else self.prior(count)
        return latent, condition["label"] if "label" in condition else draw_labels(self, count)

    def generated(self, batch: dict[str, Tensor]) -> Tensor:
        """Sample one image (N, C, H, W) for each image of a batch, with the batch's conditions."""
        return self.sample(len(batch["image"]), batch)

    def discriminate(self, images: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the discriminator's logits (N,) of images, given the conditions in a batch."""
        return check_scores(self.discriminator(images), images, "build_discriminator")

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        discriminator_optimizer, generator_optimizer = self.optimizers()

        with self.turn(discriminator_optimizer):  # Algorithm 1, lines 3 to 5
            discriminator_loss = self.discriminator_loss(batch)
            self.manual_backward(discriminator_loss)
        losses = {"discriminator_loss": discriminator_loss}

        if self.every(self.hparams.discriminator_steps):
            with self.turn(generator_optimizer):  # Algorithm 1, lines 7 and 8
                generator_loss = self.generator_loss(batch)
                self.manual_backward(generator_loss)
            losses["generator_loss"] = generator_loss
        self.log_losses(**losses)

    def discriminator_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the discriminator's loss on a batch and an equal number of samples."""
        real = batch["image"]  # (N, C, H, W)
        with torch.no_grad():
            fake = self.generated(batch).detach()
        logits = self.discriminate(real, batch), self.discriminate(fake, batch)
        return gan_discriminator_loss(*logits, self.hparams.label_smoothing)

    def generator_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the generator's loss on one sample for each image of the batch."""
        logit = self.discriminate(self.generated(batch), batch)
        if self.hparams.saturating:
            return minimax_generator_loss(logit)
        return nonsaturating_generator_loss(logit)

    def configure_optimizers(self) -> list[Optimizer]:
        hp = self.hparams
        rates = hp.lr if hp.discriminator_lr is None else hp.discriminator_lr, hp.lr
        players = self.discriminator, self.generator
        return [
            torch.optim.Adam(player.parameters(), lr=lr, betas=(hp.beta1, hp.beta2))
            for player, lr in zip(players, rates, strict=True)
        ]
