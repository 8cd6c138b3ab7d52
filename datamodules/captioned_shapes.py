"""Colored shapes with sentences that describe them."""

from itertools import product
from typing import Annotated

import torch
from torch import Tensor

from datamodules import shapes
from datamodules.captions import CaptionedImages, WithCaptions
from datamodules.loading.sources import InMemoryImages
from datamodules.shapes import (
    CLASSIFIER_IMAGES,
    POSITIONS,
    RADIUS,
    SHAPES,
    Shapes,
    random_attributes,
)
from zoo.engine.seeds import keyed_generator
from zoo.media.text import to_ids

SIZES = ("small", "large")
SMALLEST = (0.165, 0.2)  # smallest radius of each size, in units of the image's side
SPREAD = 0.01  # range of the radius above it
COLORS = (*shapes.COLORS, "purple", "cyan")
RGB = (*shapes.RGB, (168, 64, 208), (64, 208, 216))
HELD_OUT_SETS = 3  # of pairs of shape and color
TEST_COUNT = 1980  # 110 for each pair
TEMPLATES = (
    "a {size} {color} {shape} on the {position}",
    "on the {position} there is a {color} {shape}, and it is {size}",
    "this {shape} is {size} and {color}, and on the {position}",
    "the {position} has a {shape} that is {color} and {size}",
)
VALUES = {"shape": SHAPES, "color": COLORS, "position": POSITIONS, "size": SIZES}


class CaptionedShapes(WithCaptions, Shapes):
    """The shapes of data=shapes in two more colors, small or large, with four captions each.

    Six of the 18 pairs of shape and color, two colors of each shape, are held out. They occur only
    in the test set, where they make up a third of the images. There are 1,980 test images, 110 for
    each pair. `label` encodes the content of the captions in 72 classes. `seen` returns which pairs
    are in training. `read_attributes` uses classifiers that are fitted to separate images of all
    pairs.

    Args:
        count: Number of training images, including `val_count` validation images.
        held_out: The set of pairs that is held out, one of three disjoint sets: 0, 1 or 2.
    """

    classes = len(SHAPES) * len(COLORS) * len(POSITIONS) * len(SIZES)
    class_names: tuple[str, ...] = ()
    extractor = None
    attribute_names = tuple(VALUES)

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int = 16,
        count: int = 6000,
        val_count: int = 600,
        split_seed: int = 0,
        held_out: Annotated[int, "[0, 2]"] = 0,
    ):
        super().__init__()

    def open(self, split: str) -> CaptionedImages:
        if split == "train":
            pairs, count = pairs_of(self.hparams.held_out, seen=True), self.hparams.count
        else:
            pairs, count = list(product(SHAPES, COLORS)), TEST_COUNT
        attributes = self.attributes_of_pairs(split, count, pairs)
        images = InMemoryImages(self.draw(attributes), self.identity(attributes))
        return CaptionedImages(images, *make_captions(attributes), attributes)

    def draw(self, attributes: dict[str, Tensor]) -> Tensor:
        """Draw images with these attributes, uint8 (N, 3, H, W)."""
        return shapes.draw(attributes, self.hparams.image_size, RGB)

    def classifier_training_set(self) -> tuple[Tensor, dict[str, Tensor]]:
        # Of all pairs: classifiers that are fitted to the seen pairs misread held-out shapes.
        pairs = list(product(SHAPES, COLORS))
        attributes = self.attributes_of_pairs("readers", CLASSIFIER_IMAGES, pairs)
        return self.draw(attributes), attributes

    def attributes_of_pairs(
        self, stream: str, count: int, pairs: list[tuple[str, str]]
    ) -> dict[str, Tensor]:
        """Draw attributes with equally many of each pair.

        Args:
            stream: Name of the random stream.
            count: Number of images.
            pairs: Pairs of shape and color.

        Returns:
            (count,) each, as from `random_attributes`, with `size`.
        """
        generator = keyed_generator(self.hparams.split_seed, "captioned_shapes", stream)
        attributes = random_attributes(count, generator)
        pair = torch.randperm(count, generator=generator) % len(pairs)
        shape, color = pair_indices(pairs)[pair].unbind(dim=1)
        size = torch.randint(len(SIZES), (count,), generator=generator)
        share = (attributes["radius"] - RADIUS[0]) / (RADIUS[1] - RADIUS[0])  # in [0, 1]
        radius = torch.tensor(SMALLEST)[size] + SPREAD * share
        return attributes | {"shape": shape, "color": color, "size": size, "radius": radius}

    @staticmethod
    def identity(attributes: dict[str, Tensor]) -> Tensor:
        """Return the labels (N,) of attributes."""
        label = torch.zeros_like(attributes["shape"])
        for name, values in VALUES.items():
            label = label * len(values) + attributes[name]
        return label

    def seen(self, attributes: dict[str, Tensor]) -> Tensor:
        """Return whether the pair of shape and color is in training, (N,) bool."""
        pair = torch.stack([attributes["shape"], attributes["color"]], dim=1)
        held_out = pair_indices(pairs_of(self.hparams.held_out, seen=False))
        return (pair[:, None] != held_out).any(dim=2).all(dim=1)


def pairs_of(held_out: int, seen: bool) -> list[tuple[str, str]]:
    """Return the pairs of shape and color that are in training, or those that are held out.

    Shape i lacks the colors k with i + k = held_out modulo 3: each shape lacks two colors, and
    each color is missing from one shape.

    Args:
        held_out: The set of held-out pairs, 0, 1 or 2.
        seen: Whether to return the pairs in training.
    """
    return [
        (shape, color)
        for (i, shape), (k, color) in product(enumerate(SHAPES), enumerate(COLORS))
        if ((i + k) % HELD_OUT_SETS != held_out) == seen
    ]


def pair_indices(pairs: list[tuple[str, str]]) -> Tensor:
    """Return the indices of pairs of names in SHAPES and COLORS, (P, 2) int64."""
    return torch.tensor([(SHAPES.index(shape), COLORS.index(color)) for shape, color in pairs])


def make_captions(attributes: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Write one caption for each template.

    The first caption, which tests use, cycles through the templates.

    Args:
        attributes: (N,) each.

    Returns:
        Captions (N, K, T), and their number K for each image, (N,).
    """
    count, kinds = len(attributes["shape"]), len(TEMPLATES)
    rows = zip(*(attributes[name].tolist() for name in VALUES), strict=True)
    captions = []
    for number, row in enumerate(rows):
        words = {n: values[v] for (n, values), v in zip(VALUES.items(), row, strict=True)}
        order = (TEMPLATES[(number + k) % kinds] for k in range(kinds))
        captions += [template.format(**words) for template in order]
    return to_ids(captions).unflatten(0, (count, kinds)), torch.full((count,), kinds)
