"""Conditional generative adversarial nets (Mirza, Osindero 2014, arXiv 1411.1784)."""

import math

import torch
from torch import nn
from torch.nn.functional import one_hot

from zoo.adversarial.gan import GAN
from zoo.engine.conditions import check_conditions
from zoo.metrics.class_accuracy import class_accuracies
from zoo.networks.dropout import Dropout
from zoo.plots.class_grid import class_figures


class CGAN(GAN):
    """GAN whose players are both told the class of an image.

    width: units of the generator's joint layer. The others keep the paper's proportions to it: 200
    for the noise and 1000 for the class; in the discriminator 240, 50 and 240 units of maxout, of
    5, 5 and 4 pieces. dropout: share of the hidden units left out, in both players.

    Deviations from the paper: Adam instead of SGD with a falling rate and a rising momentum, normal
    instead of uniform noise, images in [-1, 1] of a tanh, torch's initialisation. The paper does
    not say which loss the generator has; ours is GAN's.
    """

    needs = ("image", "label")

    def __init__(
        self,
        image_size: int = 28,
        image_channels: int = 1,
        classes: int = 10,
        width: int = 1200,
        dropout: float = 0.5,
        **gan,
    ):
        if classes < 1:
            raise ValueError("CGAN needs data with labels.")
        super().__init__(**gan | {"network": "mlp"})

    def build_generator(self):
        hp = self.hparams
        shape = hp.image_channels, hp.image_size, hp.image_size
        return Generator(shape, hp.latent_dim, hp.classes, hp.width, hp.dropout)

    def build_discriminator(self):
        hp = self.hparams
        pixels = hp.image_channels * hp.image_size**2
        return Discriminator(pixels, hp.classes, hp.width, hp.dropout)

    def sample(self, count, condition=None):
        check_conditions(self, count, condition)
        return self.generator(*self.inputs(count, condition))

    def discriminate(self, images, batch):
        return self.discriminator(images, batch["label"])

    def measure(self, data, split):
        return class_accuracies(self, data, split)

    def figures(self, data):
        return class_figures(self)


class Generator(nn.Module):
    """(N, Z) latents and (N,) labels -> (N, C, H, W) in [-1, 1]."""

    def __init__(self, shape, latent_dim, classes, width, dropout):
        super().__init__()
        self.classes = classes
        from_latent = max(1, width // 6)
        from_label = width - from_latent
        self.latent = hidden(nn.Linear(latent_dim, from_latent), dropout)
        self.label = hidden(taking_label(nn.Linear(classes, from_label)), dropout)
        self.joint = hidden(nn.Linear(width, width), dropout)
        self.image = nn.Sequential(
            nn.Linear(width, math.prod(shape)), nn.Tanh(), nn.Unflatten(1, shape)
        )

    def forward(self, latent, label):
        label = one_hot(label, self.classes).to(latent.dtype)
        both = torch.cat([self.latent(latent), self.label(label)], dim=1)
        return self.image(self.joint(both))


class Discriminator(nn.Module):
    """(N, C, H, W) images and (N,) labels -> (N,) logits."""

    def __init__(self, pixels, classes, width, dropout):
        super().__init__()
        self.classes = classes
        units, from_label = max(1, width // 5), max(1, width // 24)
        self.pixels = nn.Sequential(nn.Flatten(), Maxout(pixels, units, 5), Dropout(dropout))
        self.label = nn.Sequential(Maxout(classes, from_label, 5), Dropout(dropout))
        taking_label(self.label[0].linear)
        self.joint = nn.Sequential(Maxout(units + from_label, units, 4), Dropout(dropout))
        self.logit = nn.Sequential(nn.Linear(units, 1), nn.Flatten(0))

    def forward(self, images, label):
        label = one_hot(label, self.classes).to(images.dtype)
        both = torch.cat([self.pixels(images), self.label(label)], dim=1)
        return self.logit(self.joint(both))


class Maxout(nn.Module):
    """(N, F) -> (N, units), each the largest of `pieces` linear maps (Goodfellow et al. 2013)."""

    def __init__(self, features, units, pieces):
        super().__init__()
        self.linear = nn.Linear(features, units * pieces)
        self.pieces = pieces

    def forward(self, features):
        return self.linear(features).unflatten(1, (-1, self.pieces)).amax(dim=2)


def hidden(linear, dropout):
    return nn.Sequential(linear, nn.ReLU(), Dropout(dropout))


def taking_label(linear):
    """The layer with weights as of one input, for of all inputs that are one-hot one is not 0.

    As of K inputs the label would be faint beside the image, and the discriminator learns for long
    to tell images alone apart.
    """
    for parameter in linear.parameters():
        nn.init.uniform_(parameter, -1, 1)
    return linear
