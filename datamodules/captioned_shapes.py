"""Coloured shapes and sentences that say what they are."""

from itertools import product

import torch
from torch import Tensor

from datamodules.captions import Captioned, WithCaptions
from datamodules.loader import keyed
from datamodules.shapes import (
    COLOURS,
    LEARNED_FROM,
    POSITIONS,
    RADIUS,
    SHAPES,
    TEST_COUNT,
    Shapes,
    draw,
    random_attributes,
)
from datamodules.sources import Stored
from zoo.text import to_ids

SIZES = ("small", "large")
SMALLEST = (0.165, 0.2)  # the radius of each size, in units of the side of the image
SPREAD = 0.01  # above it
HELD_OUT = (("circle", "blue"), ("square", "yellow"), ("triangle", "red"))
SEEN = tuple(pair for pair in product(SHAPES, COLOURS) if pair not in HELD_OUT)
TEMPLATES = (
    "a {size} {colour} {shape} on the {position}",
    "on the {position} there is a {colour} {shape}, and it is {size}",
    "this {shape} is {size} and {colour}, and on the {position}",
    "the {position} has a {shape} that is {colour} and {size}",
)
VALUES = {"shape": SHAPES, "colour": COLOURS, "position": POSITIONS, "size": SIZES}


class CaptionedShapes(WithCaptions, Shapes):
    """The shapes of data=shapes, small or large, with captions: each attribute in each of four.

    Three of the twelve pairs of a shape and a colour, HELD_OUT, are in no training image and in a
    quarter of the test images; `seen` tells which. `label` is what the captions say, one of 48.
    `attributes` tells what is said, and `read` reads it off any images: it has learned of images
    of its own, of all pairs.

    count: images to train on, `val_count` of them held out; there are 2,000 to test on

    The images are drawn by a formula, without a download: they, too, depend on split_seed.
    """

    classes = len(SHAPES) * len(COLOURS) * len(POSITIONS) * len(SIZES)
    class_names = ()
    extractor = None
    readable = tuple(VALUES)

    def open(self, split):
        count = self.hparams.count if split == "train" else TEST_COUNT
        known = self.drawn(split, count, SEEN if split == "train" else SEEN + HELD_OUT)
        images = Stored(draw(known, self.hparams.image_size), self.identity(known))
        source = Captioned(images, *sentences(known))
        source.attributes = known
        return source

    def for_readers(self):
        """Of all pairs: of the seen ones alone, a reader takes held-out shapes for others."""
        known = self.drawn("readers", LEARNED_FROM, SEEN + HELD_OUT)
        return draw(known, self.hparams.image_size), known

    def drawn(self, stream: str, count: int, pairs: tuple) -> dict[str, Tensor]:
        """Attributes (count,) of these pairs of a shape and a colour."""
        generator = keyed(self.hparams.split_seed, "captioned_shapes", stream)
        known = random_attributes(count, generator)
        chosen = places(pairs)[torch.randint(len(pairs), (count,), generator=generator)]
        size = torch.randint(len(SIZES), (count,), generator=generator)
        more = (known["radius"] - RADIUS[0]) / (RADIUS[1] - RADIUS[0])  # in [0, 1]
        radius = torch.tensor(SMALLEST)[size] + SPREAD * more
        shape, colour = chosen.unbind(dim=1)
        return known | {"shape": shape, "colour": colour, "size": size, "radius": radius}

    @staticmethod
    def identity(attributes):
        label = torch.zeros_like(attributes["shape"])
        for name, values in VALUES.items():
            label = label * len(values) + attributes[name]
        return label

    @staticmethod
    def seen(attributes: dict[str, Tensor]) -> Tensor:
        """(N,) bool: whether training may hold such a pair of shape and colour."""
        pair = torch.stack([attributes["shape"], attributes["colour"]], dim=1)
        return (pair[:, None] != places(HELD_OUT)).any(dim=2).all(dim=1)


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
