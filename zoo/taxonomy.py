"""The taxonomy of generative models of Goodfellow 2016 (arXiv 1701.00160), section 2."""

import sys
from enum import Enum


class Leaf(Enum):
    """The leaves of the tree. A value is the path from the root, which is maximum likelihood.

    LEAF in a package is the leaf of its models. LEAF in a model's file takes precedence.
    """

    FULLY_VISIBLE = ("explicit density", "tractable density", "fully visible belief nets")
    CHANGE_OF_VARIABLES = ("explicit density", "tractable density", "change of variables")
    VARIATIONAL = ("explicit density", "approximate density", "variational")
    BOLTZMANN_MACHINE = ("explicit density", "approximate density", "Markov chain")
    MARKOV_CHAIN = ("implicit density", "Markov chain")  # of samples, without a density
    DIRECT = ("implicit density", "direct")


def leaf_of(model: type) -> Leaf:
    """Return the leaf of a model's class.

    Raises:
        AttributeError: Neither its file nor its package has a LEAF.
    """
    file = model.__module__
    for module in (file, file.rpartition(".")[0]):
        leaf = getattr(sys.modules[module], "LEAF", None)
        if leaf is not None:
            return leaf
    raise AttributeError(
        f"{file} and its package have no LEAF: set one of {', '.join(map(str, Leaf))}."
    )


def models_of_leaves(models: dict[str, type]) -> dict[Leaf, list[str]]:
    """Return {leaf: names of its models}, leaves in the order of the tree.

    Args:
        models: {name of a model: its class}.
    """
    leaves = {name: leaf_of(model) for name, model in models.items()}
    return {leaf: [name for name in models if leaves[name] is leaf] for leaf in Leaf}
