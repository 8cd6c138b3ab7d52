"""Energy-based models and Markov chains: images are drawn by repeated random steps."""

from zoo.taxonomy import Leaf

LEAF = Leaf.BOLTZMANN_MACHINE
