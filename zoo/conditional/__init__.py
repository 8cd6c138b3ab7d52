"""Conditional models: images from images or captions, and frames of videos from past frames."""

from zoo.taxonomy import Leaf

LEAF = Leaf.DIRECT
