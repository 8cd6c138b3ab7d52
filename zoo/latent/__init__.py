"""Latent-variable models: a decoder maps latents to images."""

from zoo.taxonomy import Leaf

LEAF = Leaf.VARIATIONAL
