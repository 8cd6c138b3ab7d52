"""A budget of labels: training data of which only some samples keep their labels."""

import torch
from torch import Tensor

from zoo.engine.seeds import keyed_permutation


def check_budget(budget: int, classes: int) -> None:
    """Check that a number of labels can be the same for each class.

    Raises:
        ValueError: it is no multiple of the number of classes.
    """
    if budget % classes:
        raise ValueError(
            f"data.labels={budget} must be a multiple of the number of classes, {classes}, "
            "or 0 for all labels"
        )


def choose_labelled(labels: Tensor, classes: int, budget: int, seed: int) -> Tensor:
    """Choose the samples that keep their labels, the same number of each class.

    With the same seed, a larger budget contains the samples of a smaller one.

    Args:
        labels: (N,) int64.
        classes: number of classes.
        budget: number of samples, a multiple of `classes`.
        seed: another seed chooses other samples.

    Returns:
        Their positions (budget,), in increasing order.

    Raises:
        ValueError: a class has too few samples.
    """
    each = budget // classes
    order = keyed_permutation(len(labels), seed, "labelled")
    chosen = [order[labels[order] == label][:each] for label in range(classes)]
    fewest = min(map(len, chosen))
    if fewest < each:
        raise ValueError(
            f"data.labels={budget}: a class has {fewest} training images, which makes "
            f"{fewest * classes} labels at most"
        )
    return torch.cat(chosen).sort().values


class PartlyLabelled:
    """A source whose labels are known at the positions `kept` alone, and -1 elsewhere."""

    def __init__(self, source, kept: Tensor):
        self.source = source
        self.known = torch.zeros(len(source), dtype=torch.bool)
        self.known[kept] = True

    def __len__(self):
        return len(self.source)

    def __getitem__(self, positions):
        batch = self.source[positions]
        return batch | {"label": torch.where(self.known[positions], batch["label"], -1)}
