"""Adversarial models: generators trained against discriminators or critics."""

from zoo.taxonomy import Leaf

LEAF = Leaf.DIRECT
