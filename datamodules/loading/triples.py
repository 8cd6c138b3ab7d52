"""Batches with two more images for each sample: one of the same label, and a random one."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from datamodules.loading.sources import Source
from zoo.engine.loader import KeyedLoader
from zoo.engine.seeds import keyed_generator, keyed_permutation


class TripleLoader(KeyedLoader):
    """A KeyedLoader for training whose batches hold two more images for each sample.

    `partner` is another image of the same label, if there is one; `other` is a random image. Both
    are keyed by (seed, epoch, sample), so they depend neither on the batch nor on the number of
    processes. They are never flipped.

    Args:
        source: As in KeyedLoader.
        *arguments: As in KeyedLoader.
        labels: Labels of all samples, (samples,) int64.
        **keywords: As in KeyedLoader.

    Raises:
        ValueError: A sample has no label.
    """

    def __init__(self, source: Source, *arguments: Any, labels: Tensor, **keywords: Any):
        super().__init__(source, *arguments, **keywords)
        if self.labeled is not None or (labels < 0).any():
            raise ValueError(
                "Pairs of images of the same label need all labels: set data.labels=0."
            )
        self.labels = labels

    def partners(self) -> Tensor:
        """Draw for each sample another one of its label, (samples,) int64, anew in each epoch."""
        order = self.labels.argsort(stable=True)  # groups the samples by label
        counts = self.labels.bincount()
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order))
        first, count = (counts.cumsum(0) - counts)[self.labels], counts[self.labels]
        draws = torch.randint(
            2**62, (len(order),), generator=keyed_generator(self.seed, self.epoch, "partner")
        )
        step = 1 + draws % (count - 1).clamp(
            min=1
        )  # 1 to count - 1: never back to the sample itself
        return order[first + (place - first + step) % count]

    def others(self) -> Tensor:
        """Draw a permutation, (samples,) int64, anew in each epoch."""
        return keyed_permutation(len(self.labels), self.seed, self.epoch, "other")

    def _load(self, batches: list[Tensor], more: list[Tensor]) -> Iterator[dict[str, Tensor]]:
        partners, others = self.partners(), self.others()
        triples = [torch.cat([batch, partners[batch], others[batch]]) for batch in batches]
        for batch in super()._load(triples, triples):
            _, partner, other = batch["image"].tensor_split(3)
            first = {name: values.tensor_split(3)[0] for name, values in batch.items()}
            yield first | {"partner": partner, "other": other}
