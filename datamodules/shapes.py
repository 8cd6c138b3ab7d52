"""Synthetic images of colored shapes, whose attributes are known."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.image import ImageDataModule
from datamodules.loading.sources import InMemoryImages, Source
from zoo.engine.seeds import keyed_generator

SHAPES = ("circle", "square", "triangle")
COLORS = ("red", "green", "blue", "yellow")
POSITIONS = ("left", "right")
RGB = ((224, 48, 48), (48, 184, 64), (56, 88, 232), (232, 200, 48))
BACKGROUND = 24  # dark gray; black, where tanh saturates, is harder to learn
TEST_COUNT = 2000
CLASSIFIER_IMAGES = 2000  # training images of the attribute classifiers
# In units of the image's side. Shapes of one radius have the same area, that of the circle, so that
# area does not reveal the shape; the largest triangle just fits.
RADIUS = (0.15, 0.21)
CENTER = {"x": 0.29, "y": 0.36}  # smallest coordinate of a center on the left
SPREAD = {"x": 0.08, "y": 0.28}  # range of the coordinates above CENTER


class Shapes(ImageDataModule):
    """Synthetic colored shapes on gray: 3 shapes in 4 colors, in the left or the right half.

    `label` is the identity, 12 classes: 4 * shape + color, indices in SHAPES and COLORS. Position
    and size are independent of it and are not in the batches. `attributes` returns them for the
    images of a split, and `read_attributes` predicts shape, color and position of any images. There
    are 2,000 test images.

    Args:
        count: Number of training images, including `val_count` validation images.
    """

    image_channels = 3
    classes = len(SHAPES) * len(COLORS)
    class_names: tuple[str, ...] = tuple(f"{color} {shape}" for shape in SHAPES for color in COLORS)
    extractor: str | None = "pixels"
    attribute_names: tuple[str, ...] = ("shape", "color", "position")  # of `read_attributes`

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int = 16,
        count: int = 6000,
        val_count: int = 600,
        split_seed: int = 0,
    ):
        super().__init__()
        self._classifiers: dict[str, Any] = {}

    def open(self, split: str) -> Source:
        hp = self.hparams
        count = hp.count if split == "train" else TEST_COUNT
        attributes = random_attributes(count, keyed_generator(hp.split_seed, "shapes", split))
        images = draw(attributes, hp.image_size)
        return ShapeImages(images, self.identity(attributes), attributes)

    def attributes(self, split: str) -> dict[str, Tensor]:
        """Return the attributes of a split's images, (N,) each: see `random_attributes`."""
        part = self.source(split)
        return {name: values[part.chosen] for name, values in part.source.attributes.items()}

    @staticmethod
    def identity(attributes: dict[str, Tensor]) -> Tensor:
        """Return the labels (N,) of attributes."""
        return len(COLORS) * attributes["shape"] + attributes["color"]

    def classifier_training_set(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Return images and attributes that the classifiers of `read_attributes` are fitted to."""
        source, attributes = self.source("train"), self.attributes("train")
        chosen = torch.arange(min(CLASSIFIER_IMAGES, len(source)))
        return source[chosen]["image"], {name: a[chosen] for name, a in attributes.items()}

    def read_attributes(self, images: Tensor) -> dict[str, Tensor]:
        """Predict attributes by SVMs (RBF kernel, C = 10) on pixels, fitted to training images.

        The SVMs predict attributes even for images without a shape.

        Args:
            images: uint8 (N, C, H, W).

        Returns:
            {name: (N,) int64} for the `attribute_names`.
        """
        from sklearn.svm import SVC  # slow to import; samples do not need it

        if not self._classifiers:
            training_images, attributes = self.classifier_training_set()
            pixels = _flat_pixels(training_images)
            for name in self.attribute_names:
                self._classifiers[name] = SVC(C=10).fit(pixels, attributes[name].numpy())
        return {
            name: torch.from_numpy(classifier.predict(_flat_pixels(images)))
            for name, classifier in self._classifiers.items()
        }


class ShapeImages(InMemoryImages):
    """Images with attributes.

    Args:
        images: uint8 (N, C, H, W).
        labels: int64 (N,).
        attributes: {name: (N,)}.
    """

    def __init__(self, images: Tensor, labels: Tensor, attributes: dict[str, Tensor]):
        super().__init__(images, labels)
        self.attributes = attributes


def random_attributes(count: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw independent attributes, (count,) each.

    Returns:
        shape, color and position: int64, indices in SHAPES, COLORS and POSITIONS.
        x and y: of the center, in units of the image's side, y downwards.
        radius: of the circle of the same area, in the same units.
    """
    discrete = {
        name: torch.randint(len(values), (count,), generator=generator)
        for name, values in (("shape", SHAPES), ("color", COLORS), ("position", POSITIONS))
    }
    x, y, radius = torch.rand(3, count, generator=generator)
    left = CENTER["x"] + SPREAD["x"] * x
    low, high = RADIUS
    return discrete | {
        "x": torch.where(discrete["position"] == 0, left, 1 - left),
        "y": CENTER["y"] + SPREAD["y"] * y,
        "radius": low + (high - low) * radius,
    }


def draw(
    attributes: dict[str, Tensor], size: int, rgb: tuple[tuple[int, int, int], ...] = RGB
) -> Tensor:
    """Draw anti-aliased images of shapes.

    Args:
        attributes: As `random_attributes` returns them, (N,) each.
        size: Height and width.
        rgb: The color of each value of attributes["color"].

    Returns:
        uint8 (N, 3, size, size).
    """
    axis = (torch.arange(size) + 0.5) / size
    dx = axis[None, None, :] - attributes["x"][:, None, None]  # (N, 1, W)
    dy = axis[None, :, None] - attributes["y"][:, None, None]  # (N, H, 1)
    radius = attributes["radius"][:, None, None]
    edges = torch.stack([outline(dx, dy, radius) for outline in (circle, square, triangle)])
    outside = edges[attributes["shape"], torch.arange(len(dx))] * size  # (N, H, W) in pixels
    inside = (0.5 - outside).clamp(0, 1)[:, None]
    color = torch.tensor(rgb)[attributes["color"]][:, :, None, None]
    return (BACKGROUND + inside * (color - BACKGROUND)).round().to(torch.uint8)


# Signed distances (N, H, W) from the outline of a shape at the origin, negative inside; y is down.


def circle(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """Return the distance from a circle."""
    return torch.hypot(x, y) - radius


def square(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """Return the distance (largest coordinate) from a square of the same area as the circle."""
    return torch.maximum(x.abs(), y.abs()) - radius * math.sqrt(math.pi) / 2


def triangle(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """Return the distance from an equilateral triangle of the same area, one corner up.

    Its area is 3√3 times the square of its inner radius.
    """
    inner = radius * math.sqrt(math.pi / (3 * math.sqrt(3)))
    return torch.maximum(y, (math.sqrt(3) * x.abs() - y) / 2) - inner


def _flat_pixels(images: Tensor) -> np.ndarray:
    """Convert uint8 images to (N, pixels) in [0, 1]."""
    return images.flatten(1).numpy() / 255
