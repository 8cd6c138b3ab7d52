"""Coloured shapes and sentences that say what they are."""

from itertools import product
from typing import Annotated

import torch
from torch import Tensor

from datamodules import shapes
from datamodules.captions import CaptionedImages, WithCaptions
from datamodules.loading.sources import InMemoryImages
from datamodules.shapes import LEARNED_FROM, POSITIONS, RADIUS, SHAPES, Shapes, random_attributes
from zoo.engine.seeds import keyed_generator
from zoo.media.text import to_ids

SIZES = ("small", "large")
SMALLEST = (0.165, 0.2)  # the radius of each size, in units of the side of the image
SPREAD = 0.01  # above it
COLOURS = (*shapes.COLOURS, "purple", "cyan")
RGB = (*shapes.RGB, (168, 64, 208), (64, 208, 216))
SETS = 3  # of held-out pairs
TEST_COUNT = 1980  # 110 of each pair
TEMPLATES = (
    "a {size} {colour} {shape} on the {position}",
    "on the {position} there is a {colour} {shape}, and it is {size}",
    "this {shape} is {size} and {colour}, and on the {position}",
    "the {position} has a {shape} that is {colour} and {size}",
)
VALUES = {"shape": SHAPES, "colour": COLOURS, "position": POSITIONS, "size": SIZES}


class CaptionedShapes(WithCaptions, Shapes):
    """The shapes of data=shapes, in two more colours, small or large, with four captions each.

    A third of the 18 pairs of a shape and a colour is in no training image, and in a third of the
    test images: two colours of each shape. `held_out` chooses one of three such sets, which have no
    pair in common, so that each pair is held out once. `seen` tells which pairs are in training.
    `label` is what the captions say, one of 72. `attributes` tells what is said, and
    `read_attributes` reads it off any images: it has learned from images of its own, of all pairs.

    The images are drawn by a formula, without a download: they, too, depend on split_seed.

    Args:
        batch_size: images in a batch.
        image_size: height and width.
        count: images to train on. There are 1,980 to test on, 110 of each pair.
        val_count: of these, the images held out for validation.
        split_seed: what all images depend on.
        held_out: the set of held-out pairs, 0, 1 or 2.

    Raises:
        ValueError: for another held_out.
    """

    classes = len(SHAPES) * len(COLOURS) * len(POSITIONS) * len(SIZES)
    class_names = ()
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

    def open(self, split):
        pairs = pairs_of(self.hparams.held_out, seen=True)
        if split == "train":
            known = self.drawn(split, self.hparams.count, pairs)
        else:
            known = self.drawn(split, TEST_COUNT, list(product(SHAPES, COLOURS)))
        images = InMemoryImages(self.draw(known), self.identity(known))
        source = CaptionedImages(images, *sentences(known))
        source.attributes = known
        return source

    def draw(self, known):
        return shapes.draw(known, self.hparams.image_size, RGB)

    def classifier_training_set(self):
        """Of all pairs: of the seen ones alone, a reader takes held-out shapes for others."""
        known = self.drawn("readers", LEARNED_FROM, list(product(SHAPES, COLOURS)))
        return self.draw(known), known

    def drawn(self, stream: str, count: int, pairs: list) -> dict[str, Tensor]:
        """Attributes (count,) of these pairs of a shape and a colour, as many of each pair."""
        generator = keyed_generator(self.hparams.split_seed, "captioned_shapes", stream)
        known = random_attributes(count, generator)
        pair = torch.randperm(count, generator=generator) % len(pairs)
        shape, colour = places(pairs)[pair].unbind(dim=1)
        size = torch.randint(len(SIZES), (count,), generator=generator)
        more = (known["radius"] - RADIUS[0]) / (RADIUS[1] - RADIUS[0])  # in [0, 1]
        radius = torch.tensor(SMALLEST)[size] + SPREAD * more
        return known | {"shape": shape, "colour": colour, "size": size, "radius": radius}

    @staticmethod
    def identity(attributes):
        label = torch.zeros_like(attributes["shape"])
        for name, values in VALUES.items():
            label = label * len(values) + attributes[name]
        return label

    def seen(self, attributes: dict[str, Tensor]) -> Tensor:
        """(N,) bool: whether training has such a pair of shape and colour."""
        pair = torch.stack([attributes["shape"], attributes["colour"]], dim=1)
        held_out = places(pairs_of(self.hparams.held_out, seen=False))
        return (pair[:, None] != held_out).any(dim=2).all(dim=1)


def pairs_of(held_out: int, seen: bool) -> list[tuple[str, str]]:
    """The pairs of a shape and a colour that are in training, or those that a set holds out.

    Shape i lacks the colours k with i + k = held_out modulo 3: each shape lacks two, and each
    colour is missing from one shape.
    """
    return [
        (shape, colour)
        for (i, shape), (k, colour) in product(enumerate(SHAPES), enumerate(COLOURS))
        if ((i + k) % SETS != held_out) == seen
    ]


def places(pairs) -> Tensor:
    """(P, 2): those of pairs of names in SHAPES and COLOURS."""
    return torch.tensor([(SHAPES.index(shape), COLOURS.index(colour)) for shape, colour in pairs])


def sentences(attributes: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Captions (N, K, T), one of each template, and their number K for each of N images.

    The first caption, by which images are tested, is of one template after the other.
    """
    count, kinds = len(attributes["shape"]), len(TEMPLATES)
    rows = zip(*(attributes[name].tolist() for name in VALUES), strict=True)
    captions = []
    for number, row in enumerate(rows):
        words = {n: values[v] for (n, values), v in zip(VALUES.items(), row, strict=True)}
        order = (TEMPLATES[(number + k) % kinds] for k in range(kinds))
        captions += [template.format(**words) for template in order]
    return to_ids(captions).unflatten(0, (count, kinds)), torch.full((count,), kinds)
