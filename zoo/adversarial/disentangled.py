"""Disentangling factors of variation with adversarial training (Mathieu et al. 2016, 1611.03383).

The encoder splits an image into s for its identity (class) and z for everything else. As in the
paper, x₁ and x₁' are images of the same identity, and x₂ is an image of any identity.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.base import GenerativeModule
from zoo.config.errors import NEEDS_LABELS
from zoo.engine.conditions import check_conditions, draw_labels
from zoo.losses import gan_discriminator_loss, kl_to_normal, nonsaturating_generator_loss
from zoo.metrics.disentanglement import disentanglement_scores
from zoo.networks.mathieu2016 import Decoder, Discriminator, Encoder
from zoo.plots.disentanglement import interpolations, swaps
from zoo.precision import apply_except_buffers, full_precision

STATISTICS_DECAY = 0.99  # of the running statistics of s


class Disentangled(GenerativeModule):
    """Autoencoder that separates identity from the rest, with a class-conditional discriminator.

    An encoder splits an image into a code s of its identity and a code z of everything else.
    `sample` computes s from condition["image"] if it is passed. Otherwise it samples s from a
    Gaussian with the running statistics of condition["label"], or of random labels. If
    condition["latent"] (count, S + Z) is passed, s and z are its two parts.

    Args:
        image_size: Height and width of the images: k * 2^n with k from 2 to 7 and n >= 2.
        image_channels: Channels of the images.
        classes: Number of classes of the labels.
        identity_dim: S, the size of s, which is deterministic.
        latent_dim: Z, the size of z, which is Gaussian.
        width: Channels of the layers at the largest resolution. Each halving of the size doubles
            the channels.
        lr: Adam's learning rate.
        beta1: Adam's beta1.
        beta2: Adam's beta2.
        reconstruction_weight: Weight of the squared error of reconstructions.
        swap_weight: Weight of the squared error of reconstructions that use s of another image of
            the same identity.
        adversarial_weight: Weight of the adversarial term; 0 trains no discriminator.
        kl_weight: Weight of KL(q(z|x) ‖ N(0, I)) / (C H W), as in the authors' train.lua.
        label_smoothing: The discriminator's target for real images is 1 - label_smoothing.

    Deviations from the authors' code: the discriminator is updated first and evaluated again for
    the other losses. The authors reuse its output from before the update. There is one swap across
    identities, dec(z₂, s₁). The authors' code adds dec(z₁', s₂). The KL divergence is corrected.
    The authors' code has μ instead of μ², and uses the log variance as the log of the standard
    deviation. Adam also trains the discriminator. The networks are smaller, see
    zoo/networks/mathieu2016.py.
    """

    needs = ("image", "label", "partner", "other")
    latent_conditions = ("image", "label")
    _apply = apply_except_buffers  # running means stay in float32
    statistics: Tensor

    def __init__(
        self,
        image_size: int = 32,
        image_channels: int = 3,
        classes: int = 10,
        identity_dim: int = 64,
        latent_dim: int = 512,
        width: int = 32,
        lr: float = 0.01,
        beta1: float = 0.5,
        beta2: float = 0.999,
        reconstruction_weight: float = 0.5,
        swap_weight: float = 1.0,
        adversarial_weight: float = 0.01,
        kl_weight: float = 0.6,
        label_smoothing: float = 0.05,
        **shared,
    ):
        if classes < 1:
            raise ValueError(f"Disentangled {NEEDS_LABELS}")
        super().__init__(**shared)
        self.discriminator = self.build_discriminator()
        self.encoder = self.build_encoder()
        self.decoder = self.build_decoder()
        # For each label: share, share * mean of s, share * mean of s². Processes can average these.
        self.register_buffer("statistics", torch.zeros(classes, 1 + 2 * identity_dim))

    def build_discriminator(self) -> nn.Module:
        """Images (N, C, H, W) and labels (N,) -> logits (N,)."""
        hp = self.hparams
        return Discriminator(hp.image_size, hp.image_channels, hp.width, hp.classes)

    def build_encoder(self) -> nn.Module:
        """Images (N, C, H, W) -> s (N, S), and mean and log variance (N, Z) of z."""
        hp = self.hparams
        return Encoder(hp.image_size, hp.image_channels, hp.width, hp.identity_dim, hp.latent_dim)

    def build_decoder(self) -> nn.Module:
        """Identities s (N, S) and latents z (N, Z) -> images (N, C, H, W) in [-1, 1]."""
        hp = self.hparams
        shape = hp.image_size, hp.image_channels, hp.width
        return Decoder(*shape, hp.identity_dim, hp.latent_dim)

    def prior(self, count: int) -> Tensor:
        """Sample s and z, concatenated: (count, S + Z)."""
        return self.latents(count, {})

    def latents(self, count: int, condition: dict[str, Tensor]) -> Tensor:
        """Return s of images, of labels or of random labels, and random z: (count, S + Z)."""
        if "image" in condition:
            identity = self.encoder(condition["image"])[0]
        else:
            label = condition["label"] if "label" in condition else draw_labels(self, count)
            identity = self.draw_identities(label)
        return torch.cat([identity, self.noise(count)], dim=1)

    def noise(self, count: int) -> Tensor:
        """Sample z ~ N(0, I), (count, Z)."""
        return torch.randn(count, self.hparams.latent_dim, device=self.device, dtype=self.dtype)

    def draw_identities(self, label: Tensor) -> Tensor:
        """Sample s (N, S) from Gaussians with the mean and variance of each label of (N,)."""
        share, rest = self.statistics[:, :1], self.statistics[:, 1:]
        mean, square = (rest / share.clamp(min=1e-9)).chunk(2, dim=1)  # (K, S)
        deviation = (square - mean.square()).clamp(min=0).sqrt()
        return (mean[label] + deviation[label] * torch.randn_like(mean[label])).to(self.dtype)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        hp, condition = self.hparams, condition or {}
        latent = condition["latent"] if "latent" in condition else self.latents(count, condition)
        return self.decoder(*latent.split([hp.identity_dim, hp.latent_dim], dim=1))

    def batch_norm_pass(self, count: int, training_batch: Callable[[], dict[str, Tensor]]) -> None:
        self.sample(count, {"image": training_batch()["image"]})  # also runs the encoder

    def discriminate(self, images: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the discriminator's logits (N,) of images, given the labels of a batch."""
        return self.discriminator(images, batch["label"])

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        discriminator_optimizer, optimizer = self.optimizers()
        losses = {}

        if self.hparams.adversarial_weight:
            with self.turn(discriminator_optimizer):
                losses["discriminator_loss"] = self.discriminator_loss(batch)
                self.manual_backward(losses["discriminator_loss"])

        with self.turn(optimizer):
            terms = self.loss_terms(batch)
            self.manual_backward(self.weighted_sum(terms))
        self.log_losses(**losses, **terms)

    def discriminator_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the discriminator's loss on x₁ and dec(z₂, s₁)."""
        real, label = batch["image"], batch["label"]
        logit = self.discriminator(real, label)  # (N,)
        with torch.no_grad():
            identity, mean, logvar = self.encoder(torch.cat([real, batch["other"]]))
            noise = self.noise(len(real))
            latent = reparametrize(mean[len(real) :], logvar[len(real) :], noise)
            fake = self.decoder(identity[: len(real)], latent)
        smoothing = self.hparams.label_smoothing
        return gan_discriminator_loss(logit, self.discriminator(fake, label), smoothing)

    def loss_terms(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the terms of the loss of encoder and decoder, without their weights."""
        images = torch.cat([batch["image"], batch["partner"], batch["other"]])  # x₁, x₁', x₂
        identity, mean, logvar = self.encoder(images)
        noise = torch.cat([self.noise(len(batch["image"])) for _ in range(3)])
        latent = reparametrize(mean, logvar, noise)
        (s1, s2, _), (z1, z2, z3) = identity.chunk(3), latent.chunk(3)
        self.update_statistics_(s1.detach(), batch["label"])
        decoded = self.decoder(
            torch.cat([identity, s2, s1, s1]), torch.cat([latent, z1, z2, z3])
        ).chunk(6)
        targets = images.chunk(3)[:2]  # x₁ for dec(z₁, s₁'), x₁' for dec(z₁', s₁)
        fake_logit = self.discriminator(decoded[5], batch["label"])  # of dec(z₂, s₁)
        return {
            "reconstruction_loss": squared_error(torch.cat(decoded[:3]), images),
            "swap_loss": squared_error(torch.cat(decoded[3:5]), torch.cat(targets)),
            "adversarial_loss": nonsaturating_generator_loss(fake_logit),
            "kl": kl_to_normal(mean, logvar),
        }

    def weighted_sum(self, terms: dict[str, Tensor]) -> Tensor:
        """Return the loss of the encoder and the decoder from its terms."""
        hp = self.hparams
        return (
            hp.reconstruction_weight * terms["reconstruction_loss"]
            + hp.swap_weight * terms["swap_loss"]
            + hp.adversarial_weight * terms["adversarial_loss"]
            + hp.kl_weight / (hp.image_channels * hp.image_size**2) * terms["kl"]
        )

    def update_statistics_(self, identity: Tensor, label: Tensor) -> None:
        """Update the running statistics of s with the s (N, S) of a batch with labels (N,)."""
        identity = identity.to(self.statistics)  # squares are inaccurate in half precision
        ones = torch.ones_like(identity[:, :1])
        moments = torch.cat([ones, identity, identity.square()], dim=1)  # (N, 1 + 2 S)
        sums = torch.zeros_like(self.statistics).index_add(0, label, moments)
        self.statistics.lerp_(sums / len(label), 1 - STATISTICS_DECAY)

    def configure_optimizers(self) -> list[Optimizer]:
        hp = self.hparams
        players = [self.discriminator], [self.encoder, self.decoder]
        return [
            torch.optim.Adam(
                [p for network in networks for p in network.parameters()],
                lr=hp.lr,
                betas=(hp.beta1, hp.beta2),
            )
            for networks in players
        ]

    def measure(self, data: Any, split: str) -> dict[str, float]:
        return disentanglement_scores(self, data, split)

    def figures(self, data: Any) -> dict[str, Tensor]:
        """Draw swaps of s and z, and interpolations of both, for test images."""
        if data is None:
            return {}
        source = data.source("test")
        if len(source) < 2:  # both figures need two images
            return {}
        batch = data.prepare_batch(source[torch.arange(min(8, len(source)))], self)
        images = batch["image"]
        identity, latent, _ = self.encoder(images)
        return {
            "swaps": swaps(images, identity, latent, self.decoder),
            "interpolations": interpolations(identity[:2], latent[:2], self.decoder),
        }


def reparametrize(mean: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """Return z ~ N(mean, exp(logvar)), differentiable in both (Kingma, Welling 2014, 1312.6114)."""
    return mean + (logvar / 2).exp() * noise


@full_precision
def squared_error(image: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of images (N, C, H, W)."""
    return (image - target).square().mean()
