"""Flows: p(x) by the change of variables, from an invertible map to latents of a simple density."""

from zoo.taxonomy import Leaf

LEAF = Leaf.CHANGE_OF_VARIABLES
