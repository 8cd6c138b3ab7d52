"""The networks of LAPGAN's levels (Denton et al. 2015, arXiv 1506.05751).

A generator takes noise (N, Z), the coarse image l (N, C, H, W) and labels (N,), and returns
residuals (N, C, H, W), unbounded. A discriminator takes residuals, l and labels, and returns logits
(N,). At the coarsest level l is 0. Networks of 0 classes ignore the labels.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, relu

from zoo.networks.dropout import Dropout


class BaseGenerator(nn.Module):
    """Fully connected generator of the coarsest level, with two hidden layers.

    Args:
        size: Height and width of the images.
        channels: Channels of the images.
        classes: Number of classes; with 0, labels are ignored.
        latent_dim: Size of the noise vector.
        width: Units of each hidden layer.
    """

    def __init__(self, size: int, channels: int, classes: int, latent_dim: int, width: int):
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

    def forward(self, noise: Tensor, coarse: Tensor, label: Tensor) -> Tensor:
        return self.layers(torch.cat([noise, one_hot_labels(label, self.classes, noise)], dim=1))


class BaseDiscriminator(nn.Module):
    """Fully connected discriminator of the coarsest level, with two hidden layers.

    Args:
        size: Height and width of the images.
        channels: Channels of the images.
        classes: Number of classes; with 0, labels are ignored.
        width: Units of each hidden layer.
        dropout: Probability of dropout after each hidden layer.
    """

    def __init__(self, size: int, channels: int, classes: int, width: int, dropout: float):
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

    def forward(self, residual: Tensor, coarse: Tensor, label: Tensor) -> Tensor:
        image = (residual + coarse).flatten(1)
        return self.layers(torch.cat([image, one_hot_labels(label, self.classes, image)], dim=1))


def one_hot_labels(label: Tensor, classes: int, like: Tensor) -> Tensor:
    """Return one-hot labels (N, classes) of the type of `like`; (N, 0) for 0 classes."""
    return one_hot(label, classes).to(like) if classes else like.new_zeros(len(like), 0)


class ClassPlane(nn.Module):
    """Labels (N,) -> planes (N, 1, H, W): a linear layer on the one-hot label, and a ReLU.

    Args:
        size: Height and width of the plane.
        classes: Number of classes.
    """

    def __init__(self, size: int, classes: int):
        super().__init__()
        self.size, self.classes = size, classes
        self.linear = nn.Linear(classes, size**2)

    def forward(self, label: Tensor) -> Tensor:
        label = one_hot(label, self.classes).to(self.linear.weight)
        return relu(self.linear(label)).view(-1, 1, self.size, self.size)


class Generator(nn.Module):
    """Three convolutions of the noise plane, the class plane and the coarse image.

    Args:
        size: Height and width of the images.
        channels: Channels of the images.
        classes: Number of classes; with 0, labels are ignored.
        width: Channels of the hidden layers.
    """

    def __init__(self, size: int, channels: int, classes: int, width: int):
        super().__init__()
        self.plane = ClassPlane(size, classes) if classes else None
        self.layers = nn.Sequential(
            nn.Conv2d(1 + bool(classes) + channels, width, 7, padding=3),
            nn.ReLU(),
            nn.Conv2d(width, width, 7, padding=3),
            nn.ReLU(),
            nn.Conv2d(width, channels, 5, padding=2),
        )

    def forward(self, noise: Tensor, coarse: Tensor, label: Tensor) -> Tensor:
        noise = noise.view(-1, 1, *coarse.shape[2:])  # (N, 1, H, W)
        plane = [] if self.plane is None else [self.plane(label)]  # (N, 1, H, W)
        return self.layers(torch.cat([noise, *plane, coarse], dim=1))


class Discriminator(nn.Module):
    """Two convolutions of the image h + l and the class plane, and a linear layer.

    The convolutions are not padded, unless the image is smaller than 9x9.

    Args:
        size: Height and width of the images.
        channels: Channels of the images.
        classes: Number of classes; with 0, labels are ignored.
        width: Channels of the hidden layers.
        dropout: Probability of dropout before the linear layer.
    """

    def __init__(self, size: int, channels: int, classes: int, width: int, dropout: float):
        super().__init__()
        self.plane = ClassPlane(size, classes) if classes else None
        padding = 0 if size >= 9 else 2
        last = (size - 4 + 2 * padding - 5 + 2 * padding) // 2 + 1
        self.layers = nn.Sequential(
            nn.Conv2d(bool(classes) + channels, width, 5, padding=padding),
            nn.ReLU(),
            nn.Conv2d(width, width, 5, stride=2, padding=padding),
            nn.Flatten(),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(width * last**2, 1),
            nn.Flatten(0),
        )

    def forward(self, residual: Tensor, coarse: Tensor, label: Tensor) -> Tensor:
        image = residual + coarse  # (N, C, H, W)
        plane = [] if self.plane is None else [self.plane(label)]  # (N, 1, H, W)
        return self.layers(torch.cat([image, *plane], dim=1))


def clamp_straight_through(images: Tensor) -> Tensor:
    """Clamp images to [-1, 1] in the forward pass, but not in the backward pass.

    With `clamp`, pixels outside the range would get no gradient and could not return to it.
    """
    return images.clamp(-1, 1).detach() + (images - images.detach())
