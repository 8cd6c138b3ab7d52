"""A label budget: only some training samples keep their labels."""

import torch
from torch import Tensor

from datamodules.loading.sources import Source
from zoo.engine.seeds import keyed_permutation


def check_budget(budget: int, classes: int) -> None:
    """Check that a label budget can be divided equally among the classes.

    Raises:
        ValueError: The budget is not a multiple of the number of classes.
    """
    if budget % classes:
        raise ValueError(
            f"data.labels={budget} must be a multiple of the number of classes, {classes}, "
            "or 0 for all labels"
        )


def choose_labeled(labels: Tensor, classes: int, budget: int, seed: int) -> Tensor:
    """Choose the samples that keep their labels, the same number of each class.

    With the same seed, a larger budget contains the samples of a smaller one.

    Args:
        labels: (N,) int64.
        classes: Number of classes.
        budget: Number of samples, a multiple of `classes`.
        seed: Seed of the choice.

    Returns:
        Their positions (budget,), in increasing order.

    Raises:
        ValueError: A class has too few samples.
    """
    each = budget // classes
    # The spelling is a seed: another one would change the results of recipes.
    order = keyed_permutation(len(labels), seed, "labelled")
    chosen = [order[labels[order] == label][:each] for label in range(classes)]
    fewest = min(map(len, chosen))
    if fewest < each:
        raise ValueError(
            f"data.labels={budget}: a class has only {fewest} training images, so data.labels can "
            f"be at most {fewest * classes}"
        )
    return torch.cat(chosen).sort().values


class PartlyLabeled:
    """A source that keeps some of its labels; the other labels become -1.

    Args:
        source: The source.
        kept: Positions of the samples that keep their labels, (L,) int64.
    """

    def __init__(self, source: Source, kept: Tensor):
        self.source = source
        self.is_kept = torch.zeros(len(source), dtype=torch.bool)
        self.is_kept[kept] = True

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, positions: Tensor) -> dict[str, Tensor]:
        batch = self.source[positions]
        return batch | {"label": torch.where(self.is_kept[positions], batch["label"], -1)}
