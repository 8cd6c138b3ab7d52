"""Autoregressive models: p(x) is a product of conditionals, one for each dimension."""

from zoo.taxonomy import Leaf

LEAF = Leaf.FULLY_VISIBLE
