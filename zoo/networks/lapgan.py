"""Laplacian pyramids, and the networks of Denton et al. 2015 (arXiv 1506.05751) for their levels.

A generator takes noise (N, Z), the coarse image l (N, C, H, W) and labels (N,), and gives residuals
(N, C, H, W), unbounded. A discriminator takes residuals, l and labels, and gives logits (N,).
"""

import torch
from torch import nn
from torch.nn.functional import one_hot, relu

from zoo.networks.dropout import Dropout


class BaseGenerator(nn.Module):
    """Two hidden layers of `width` units, for the coarsest image."""

    def __init__(self, size, channels, classes, latent_dim, width):
        super().__init__()
        self.classes = classes
        self.layers = nn.Sequential(
            nn.Linear(latent_dim + classes, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, channels * size**2),
            nn.Unflatten(1, (channels, size, size)),
        )

    def forward(self, noise, coarse, label):
        return self.layers(torch.cat([noise, one_hot(label, self.classes).to(noise)], dim=1))


class BaseDiscriminator(nn.Module):
    """Two hidden layers of `width` units with dropout."""

    def __init__(self, size, channels, classes, width, dropout):
        super().__init__()
        self.classes = classes
        self.layers = nn.Sequential(
            nn.Linear(channels * size**2 + classes, width),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(width, 1),
            nn.Flatten(0),
        )

    def forward(self, residual, coarse, label):
        image = (residual + coarse).flatten(1)
        return self.layers(torch.cat([image, one_hot(label, self.classes).to(image)], dim=1))


class ClassPlane(nn.Module):
    """Labels (N,) -> (N, 1, H, W): one linear map of the one-hot label, and ReLU."""

    def __init__(self, size, classes):
        super().__init__()
        self.size, self.classes = size, classes
        self.linear = nn.Linear(classes, size**2)

    def forward(self, label):
        label = one_hot(label, self.classes).to(self.linear.weight)
        return relu(self.linear(label)).view(-1, 1, self.size, self.size)


class Generator(nn.Module):
    """Three convolutions over the noise plane, the class plane and l."""

    def __init__(self, size, channels, classes, width):
        super().__init__()
        self.plane = ClassPlane(size, classes)
        self.layers = nn.Sequential(
            nn.Conv2d(2 + channels, width, 7, padding=3),
            nn.ReLU(),
            nn.Conv2d(width, width, 7, padding=3),
            nn.ReLU(),
            nn.Conv2d(width, channels, 5, padding=2),
        )

    def forward(self, noise, coarse, label):
        noise = noise.view(-1, 1, *coarse.shape[2:])
        return self.layers(torch.cat([noise, self.plane(label), coarse], dim=1))


class Discriminator(nn.Module):
    """h + l first of all, then two convolutions with the class plane beside it.

    They are not padded, unless the image is too small for that.
    """

    def __init__(self, size, channels, classes, width, dropout):
        super().__init__()
        self.plane = ClassPlane(size, classes)
        padding = 0 if size >= 9 else 2
        last = (size - 4 + 2 * padding - 5 + 2 * padding) // 2 + 1
        self.layers = nn.Sequential(
            nn.Conv2d(channels + 1, width, 5, padding=padding),
            nn.ReLU(),
            nn.Conv2d(width, width, 5, stride=2, padding=padding),
            nn.Flatten(),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(width * last**2, 1),
            nn.Flatten(0),
        )

    def forward(self, residual, coarse, label):
        image = residual + coarse
        return self.layers(torch.cat([image, self.plane(label)], dim=1))
