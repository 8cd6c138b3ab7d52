"""Auxiliary classifier GAN (Odena, Olah, Shlens 2017, arXiv 1610.09585)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from zoo.adversarial.gan import GAN
from zoo.config.errors import NEEDS_LABELS
from zoo.config.fixed_parameters import with_fixed
from zoo.engine.conditions import check_conditions
from zoo.losses import (
    cross_entropy,
    gan_discriminator_loss,
    minimax_generator_loss,
    nonsaturating_generator_loss,
)
from zoo.metrics.class_accuracy import class_accuracies
from zoo.metrics.ms_ssim import class_ms_ssim
from zoo.networks import dcgan
from zoo.networks.dropout import Dropout
from zoo.plots.class_grid import class_figures


class ACGAN(GAN):
    """GAN whose discriminator also classifies the images.

    Both networks minimize the classification loss. The generator's input is the noise and the class
    as a one-hot vector (100 + 10 numbers, as in the paper). The discriminator is not conditioned on
    the class. `sample` uses condition["label"] if it is passed, and random labels otherwise.

    Args:
        image_size: Height and width of the images: k * 2^n with k from 2 to 7 and n >= 2.
        image_channels: Channels of the images.
        classes: Number of classes.
        width: Channels of the layers at the largest resolution. Each halving of the size doubles
            the channels.
        class_weight: Weight w of the class loss L_C. The paper's is 1.
        dropout: Dropout probability after each activation of the discriminator.

    Deviations from the paper: the networks are DCGAN's, with 4x4 kernels and linear heads. The
    paper's generator has 5x5 kernels. Its discriminator has six 3x3 layers, every second one with
    stride 1. No noise is added to activations.
    """

    needs = ("image", "label")

    def __init__(
        self,
        image_size: int = 32,
        image_channels: int = 3,
        classes: int = 10,
        width: int = 64,
        class_weight: float = 1.0,
        dropout: float = 0.5,
        **gan,
    ):
        if classes < 1:
            raise ValueError(f"ACGAN {NEEDS_LABELS}")
        super().__init__(**with_fixed(self, gan, {"network": "dcgan"}))

    def build_generator(self) -> nn.Module:
        """Latents and one-hot labels (N, Z + K) -> images (N, C, H, W) in [-1, 1]."""
        hp = self.hparams
        inputs = hp.latent_dim + hp.classes
        return dcgan.generator(hp.image_size, hp.image_channels, inputs, hp.width)

    def build_discriminator(self) -> nn.Module:
        """Images (N, C, H, W) -> logits of the source (N,) and of the classes (N, K)."""
        hp = self.hparams
        shape = hp.image_size, hp.image_channels
        norm = not hp.spectral_norm
        return Discriminator(*shape, hp.width, norm, hp.classes, hp.dropout)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        latent, label = self.latents_and_labels(count, condition)
        one_hot_label = one_hot(label, self.hparams.classes).to(latent.dtype)  # (N, K)
        return self.generator(torch.cat([latent, one_hot_label], dim=1))

    def discriminate(self, images: Tensor, batch: dict[str, Tensor]) -> Tensor:
        source, _ = self.discriminator(images)
        return source

    def discriminator_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Return -(L_S + w L_C). L_C has one term for real and one for generated images."""
        hp, real, label = self.hparams, batch["image"], batch["label"]
        with torch.no_grad():
            fake = self.sample(len(real), batch)
        real_logit, real_classes = self.discriminator(real)  # (N,), (N, K)
        fake_logit, fake_classes = self.discriminator(fake)
        classes_loss = cross_entropy(real_classes, label) + cross_entropy(fake_classes, label)
        source_loss = gan_discriminator_loss(real_logit, fake_logit, hp.label_smoothing)
        return source_loss + hp.class_weight * classes_loss

    def generator_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the generator's loss on samples: GAN's, plus w times the cross-entropy."""
        hp, label = self.hparams, batch["label"]
        logit, classes = self.discriminator(self.sample(len(label), batch))
        source_loss = minimax_generator_loss if hp.saturating else nonsaturating_generator_loss
        return source_loss(logit) + hp.class_weight * cross_entropy(classes, label)

    def measure(self, data: Any, split: str) -> dict[str, float]:
        return class_accuracies(self, data, split) | class_ms_ssim(self, data)

    def figures(self, data: Any) -> dict[str, Tensor]:
        return class_figures(self, data)


class Discriminator(nn.Module):
    """Images (N, C, H, W) -> logits of the source (N,) and of the classes (N, K).

    Both heads share a trunk, DCGAN's discriminator without its last convolution, plus dropout.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        width: Channels of the first layer.
        norm: Whether the trunk has batch norm.
        classes: K.
        dropout: Probability of dropout after each activation.
    """

    def __init__(
        self,
        image_size: int,
        image_channels: int,
        width: int,
        norm: bool,
        classes: int,
        dropout: float,
    ):
        super().__init__()
        last: Any  # the convolution to the logit
        *layers, last, _ = dcgan.discriminator(image_size, image_channels, width, norm)
        self.trunk = nn.Sequential()
        for layer in layers:
            self.trunk.append(layer)
            if isinstance(layer, nn.LeakyReLU):
                self.trunk.append(Dropout(dropout))
        self.trunk.append(nn.Flatten())
        features = last.weight[0].numel()
        self.source, self.classes = nn.Linear(features, 1), nn.Linear(features, classes)
        for head in (self.source, self.classes):
            nn.init.normal_(head.weight, 0.0, 0.02)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(images)  # (N, F)
        return self.source(features).squeeze(1), self.classes(features)
