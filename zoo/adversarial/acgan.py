"""Auxiliary classifier GAN (Odena, Olah, Shlens 2017, arXiv 1610.09585)."""

import torch
from torch import nn
from torch.nn.functional import one_hot

from zoo.adversarial.gan import GAN
from zoo.engine.conditions import check_conditions
from zoo.losses import (
    cross_entropy,
    gan_discriminator_loss,
    minimax_generator_loss,
    nonsaturating_generator_loss,
)
from zoo.metrics.class_accuracy import class_accuracies
from zoo.networks import dcgan
from zoo.networks.dropout import Dropout
from zoo.plots.class_grid import class_figures


class ACGAN(GAN):
    """GAN whose discriminator also names the class, and whose generator wants it named.

    The class goes to the generator one-hot beside the noise (100 + 10 inputs, as in the paper), and
    to the discriminator not at all. class_weight: of L_C, by L_S; the paper's is 1. dropout: share
    of the maps' pixels that the discriminator leaves out behind each activation.

    Deviations from the paper: the networks are DCGAN's, with kernels of 4x4, where theirs have 5x5
    in the generator and 3x3, every second one without a stride, in the discriminator; no noise is
    added to activations.
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
            raise ValueError("ACGAN needs data with labels.")
        super().__init__(**gan | {"network": "dcgan"})

    def build_generator(self):
        hp = self.hparams
        inputs = hp.latent_dim + hp.classes
        return dcgan.generator(hp.image_size, hp.image_channels, inputs, hp.width)

    def build_discriminator(self):
        hp = self.hparams
        shape = hp.image_size, hp.image_channels
        norm = not hp.spectral_norm
        return Discriminator(*shape, hp.width, norm, hp.classes, hp.dropout)

    def sample(self, count, condition=None):
        check_conditions(self, count, condition)
        latent, label = self.inputs(count, condition)
        label = one_hot(label, self.hparams.classes).to(latent.dtype)
        return self.generator(torch.cat([latent, label], dim=1))

    def discriminate(self, images, batch):
        source, _ = self.discriminator(images)
        return source

    def discriminator_loss(self, batch):
        """-(L_S + L_C), with both terms of L_C: of real images and of generated ones."""
        hp, real, label = self.hparams, batch["image"], batch["label"]
        with torch.no_grad():
            fake = self.sample(len(real), batch)
        real_logit, real_classes = self.discriminator(real)
        fake_logit, fake_classes = self.discriminator(fake)
        classes_loss = cross_entropy(real_classes, label) + cross_entropy(fake_classes, label)
        source_loss = gan_discriminator_loss(real_logit, fake_logit, hp.label_smoothing)
        return source_loss + hp.class_weight * classes_loss

    def generator_loss(self, batch):
        """-(L_C - L_S), of which the terms of real images are constant."""
        hp, label = self.hparams, batch["label"]
        logit, classes = self.discriminator(self.sample(len(label), batch))
        source_loss = minimax_generator_loss if hp.saturating else nonsaturating_generator_loss
        return source_loss(logit) + hp.class_weight * cross_entropy(classes, label)

    def measure(self, data, split):
        return class_accuracies(self, data, split)

    def figures(self, data):
        return class_figures(self)


class Discriminator(nn.Module):
    """(N, C, H, W) -> logits of the source (N,) and of the classes (N, K), by one trunk.

    The trunk is DCGAN's discriminator without its last convolution, and with dropout.
    """

    def __init__(self, image_size, image_channels, width, norm, classes, dropout):
        super().__init__()
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

    def forward(self, images):
        features = self.trunk(images)
        return self.source(features).squeeze(1), self.classes(features)
