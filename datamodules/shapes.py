"""Coloured shapes whose every attribute is known."""

import math

import torch
from sklearn.svm import SVC
from torch import Tensor

from datamodules.image import ImageDataModule
from datamodules.loading.sources import InMemoryImages
from zoo.engine.seeds import keyed_generator

SHAPES = ("circle", "square", "triangle")
COLOURS = ("red", "green", "blue", "yellow")
POSITIONS = ("left", "right")
RGB = ((224, 48, 48), (48, 184, 64), (56, 88, 232), (232, 200, 48))
BACKGROUND = 24  # a shade of grey; black, on which tanh saturates, is harder to learn
TEST_COUNT = 2000
LEARNED_FROM = 2000  # training images that the readers of attributes see
# In units of the side of the image. Shapes of one radius have one area, that of the circle, so
# that their sizes do not tell them apart; the largest triangle just fits.
RADIUS = (0.15, 0.21)
CENTRE = {"x": 0.29, "y": 0.36}  # the smallest; the largest is 1 less it
SPREAD = {"x": 0.08, "y": 0.28}  # of x on either side


class Shapes(ImageDataModule):
    """Coloured shapes on grey: 3 shapes in 4 colours, somewhere on the left or on the right.

    `label` is the identity, 12 classes: 4 * shape + colour, by their places in SHAPES and COLOURS.
    Side, place and size do not depend on it. They are not in the batches, but `attributes` tells
    them, and `read_attributes` reads shape, colour and position off any images.

    count: images to train on, `val_count` of them held out; there are 2,000 to test on

    The images are drawn by a formula, without a download: they, too, depend on split_seed.
    """

    image_channels = 3
    classes = len(SHAPES) * len(COLOURS)
    class_names = tuple(f"{colour} {shape}" for shape in SHAPES for colour in COLOURS)
    extractor = "pixels"
    attribute_names = ("shape", "colour", "position")

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int = 16,
        count: int = 6000,
        val_count: int = 600,
        split_seed: int = 0,
    ):
        super().__init__()
        self._readers = {}

    def open(self, split):
        hp = self.hparams
        count = hp.count if split == "train" else TEST_COUNT
        drawn = random_attributes(count, keyed_generator(hp.split_seed, "shapes", split))
        source = InMemoryImages(draw(drawn, hp.image_size), self.identity(drawn))
        source.attributes = drawn
        return source

    def attributes(self, split: str) -> dict[str, Tensor]:
        """Of each image of a split, in order: see `random_attributes`."""
        part = self.source(split)
        return {name: values[part.chosen] for name, values in part.source.attributes.items()}

    @staticmethod
    def identity(attributes: dict[str, Tensor]) -> Tensor:
        """The labels (N,) of attributes."""
        return len(COLOURS) * attributes["shape"] + attributes["colour"]

    def classifier_training_set(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Images, and their attributes, of which `read_attributes` learns."""
        source, known = self.source("train"), self.attributes("train")
        seen = torch.arange(min(LEARNED_FROM, len(source)))
        return source[seen]["image"], {name: values[seen] for name, values in known.items()}

    def read_attributes(self, images: Tensor) -> dict[str, Tensor]:
        """The `attribute_names` attributes, (N,) int64, of uint8 images (N, C, H, W).

        By SVMs (RBF kernel, C = 10) of pixels, which have seen training images alone. They name
        something for any image: an image of nothing has attributes, too.
        """
        if not self._readers:
            learned, known = self.classifier_training_set()
            pixels = _pixels(learned)
            for name in self.attribute_names:
                self._readers[name] = SVC(C=10).fit(pixels, known[name].numpy())
        return {
            name: torch.from_numpy(reader.predict(_pixels(images)))
            for name, reader in self._readers.items()
        }


def random_attributes(count: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Attributes (count,), each independent of the others.

    shape, colour, position: int64, places in SHAPES, COLOURS and POSITIONS
    x, y: of the centre, in units of the side, y downwards
    radius: of a circle of the same area, in the same units
    """
    whole = {
        name: torch.randint(len(values), (count,), generator=generator)
        for name, values in (("shape", SHAPES), ("colour", COLOURS), ("position", POSITIONS))
    }
    x, y, radius = torch.rand(3, count, generator=generator)
    left = CENTRE["x"] + SPREAD["x"] * x
    low, high = RADIUS
    return whole | {
        "x": torch.where(whole["position"] == 0, left, 1 - left),
        "y": CENTRE["y"] + SPREAD["y"] * y,
        "radius": low + (high - low) * radius,
    }


def draw(attributes: dict[str, Tensor], size: int, rgb=RGB) -> Tensor:
    """uint8 images (N, 3, size, size); a pixel on an edge is mixed by how much of it is inside.

    rgb: what the numbers of attributes["colour"] look like.
    """
    axis = (torch.arange(size) + 0.5) / size
    dx = axis[None, None, :] - attributes["x"][:, None, None]  # (N, 1, W)
    dy = axis[None, :, None] - attributes["y"][:, None, None]  # (N, H, 1)
    radius = attributes["radius"][:, None, None]
    edges = torch.stack([outline(dx, dy, radius) for outline in (circle, square, triangle)])
    outside = edges[attributes["shape"], torch.arange(len(dx))] * size  # (N, H, W) in pixels
    inside = (0.5 - outside).clamp(0, 1)[:, None]
    colour = torch.tensor(rgb)[attributes["colour"]][:, :, None, None]
    return (BACKGROUND + inside * (colour - BACKGROUND)).round().to(torch.uint8)


# How far points are from the outline of a shape at the origin, negative inside; y is downwards.


def circle(x, y, radius):
    return torch.hypot(x, y) - radius


def square(x, y, radius):
    return torch.maximum(x.abs(), y.abs()) - radius * math.sqrt(math.pi) / 2


def triangle(x, y, radius):
    """Equilateral, one corner up; the area is 3√3 times the square of the inner radius."""
    inner = radius * math.sqrt(math.pi / (3 * math.sqrt(3)))
    return torch.maximum(y, (math.sqrt(3) * x.abs() - y) / 2) - inner


def _pixels(images):
    return images.flatten(1).numpy() / 255
