"""Conditional generative adversarial nets (Mirza, Osindero 2014, arXiv 1411.1784)."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from zoo.adversarial.gan import GAN
from zoo.config.errors import NEEDS_LABELS
from zoo.config.fixed_parameters import with_fixed
from zoo.engine.batch_checks import check_scores
from zoo.engine.conditions import check_conditions
from zoo.metrics.class_accuracy import class_accuracies
from zoo.networks.dropout import Dropout
from zoo.plots.class_grid import class_figures


class CGAN(GAN):
    """GAN whose generator and discriminator are conditioned on the class.

    `sample` uses condition["label"] if it is passed, and random labels otherwise.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        classes: Number of classes.
        width: Units of the generator's joint layer. All other layers scale with it. With the
            paper's 1200, the generator has 200 units for the noise and 1000 for the class. The
            discriminator has 240, 50 and 240 maxout units with 5, 5 and 4 pieces.
        dropout: Dropout probability of the hidden units of both networks.

    Deviations from the paper: Adam instead of SGD with a falling learning rate and rising momentum.
    Normal instead of uniform noise. The generator ends in a tanh, and images are in [-1, 1]. The
    weights have PyTorch's initialization, except in layers for one-hot labels. The generator's loss
    is the non-saturating one. The paper does not specify it.
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
            raise ValueError(f"CGAN {NEEDS_LABELS}")
        super().__init__(**with_fixed(self, gan, {"network": "mlp"}))

    def build_generator(self) -> nn.Module:
        """Latents (N, Z) and labels (N,) -> images (N, C, H, W) in [-1, 1]."""
        hp = self.hparams
        shape = hp.image_channels, hp.image_size, hp.image_size
        return Generator(shape, hp.latent_dim, hp.classes, hp.width, hp.dropout)

    def build_discriminator(self) -> nn.Module:
        """Images (N, C, H, W) and labels (N,) -> logits (N,)."""
        hp = self.hparams
        pixels = hp.image_channels * hp.image_size**2
        return Discriminator(pixels, hp.classes, hp.width, hp.dropout)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        return self.generator(*self.latents_and_labels(count, condition))

    def discriminate(self, images: Tensor, batch: dict[str, Tensor]) -> Tensor:
        logit = self.discriminator(images, batch["label"])
        return check_scores(logit, images, "build_discriminator")

    def measure(self, data: Any, split: str) -> dict[str, float]:
        return class_accuracies(self, data, split)

    def figures(self, data: Any) -> dict[str, Tensor]:
        return class_figures(self, data)


class Generator(nn.Module):
    """Latents (N, Z) and labels (N,) -> images (N, C, H, W) in [-1, 1].

    Args:
        shape: (C, H, W).
        latent_dim: Z.
        classes: Number of classes.
        width: Units of the joint layer.
        dropout: Probability of dropout after each hidden layer.
    """

    def __init__(
        self, shape: tuple[int, int, int], latent_dim: int, classes: int, width: int, dropout: float
    ):
        super().__init__()
        self.classes = classes
        latent_units = max(1, width // 6)
        label_units = width - latent_units
        self.latent = hidden_layer(nn.Linear(latent_dim, latent_units), dropout)
        label_layer = init_label_layer_(nn.Linear(classes, label_units))
        self.label = hidden_layer(label_layer, dropout)
        self.joint = hidden_layer(nn.Linear(width, width), dropout)
        self.image = nn.Sequential(
            nn.Linear(width, math.prod(shape)), nn.Tanh(), nn.Unflatten(1, shape)
        )

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        label = one_hot(label, self.classes).to(latent.dtype)  # (N, K)
        both = torch.cat([self.latent(latent), self.label(label)], dim=1)
        return self.image(self.joint(both))


class Discriminator(nn.Module):
    """Images (N, C, H, W) and labels (N,) -> logits (N,).

    Args:
        pixels: C H W.
        classes: Number of classes.
        width: Units of the generator's joint layer.
        dropout: Probability of dropout after each hidden layer.
    """

    def __init__(self, pixels: int, classes: int, width: int, dropout: float):
        super().__init__()
        self.classes = classes
        units, label_units = max(1, width // 5), max(1, width // 24)
        self.pixels = nn.Sequential(nn.Flatten(), Maxout(pixels, units, 5), Dropout(dropout))
        label_layer = Maxout(classes, label_units, 5)
        self.label = nn.Sequential(label_layer, Dropout(dropout))
        init_label_layer_(label_layer.linear)
        self.joint = nn.Sequential(Maxout(units + label_units, units, 4), Dropout(dropout))
        self.logit = nn.Sequential(nn.Linear(units, 1), nn.Flatten(0))

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        label = one_hot(label, self.classes).to(images.dtype)  # (N, K)
        both = torch.cat([self.pixels(images), self.label(label)], dim=1)
        return self.logit(self.joint(both))


class Maxout(nn.Module):
    """Features (N, F) -> (N, units). Each output is the maximum of `pieces` linear maps.

    Goodfellow et al. 2013 (arXiv 1302.4389).

    Args:
        features: F.
        units: Number of outputs.
        pieces: Number of linear maps for each output.
    """

    def __init__(self, features: int, units: int, pieces: int):
        super().__init__()
        self.linear = nn.Linear(features, units * pieces)
        self.pieces = pieces

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features).unflatten(1, (-1, self.pieces)).amax(dim=2)


def hidden_layer(linear: nn.Linear, dropout: float) -> nn.Sequential:
    """Return a linear layer followed by ReLU and dropout."""
    return nn.Sequential(linear, nn.ReLU(), Dropout(dropout))


def init_label_layer_(linear: nn.Linear) -> nn.Linear:
    """Initialize weights and biases from U(-1, 1), PyTorch's range for a layer with one input.

    A one-hot label has one nonzero input. With PyTorch's range for K inputs, the label would have
    little influence at first.

    Args:
        linear: The layer to initialize in place.

    Returns:
        The same layer.
    """
    for parameter in linear.parameters():
        nn.init.uniform_(parameter, -1, 1)
    return linear
