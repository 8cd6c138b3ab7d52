"""Batches of three images for each sample: itself, one of the same label, any one."""

import torch
from torch import Tensor

from zoo.engine.loader import KeyedLoader
from zoo.engine.seeds import keyed_generator, keyed_permutation


class TripleLoader(KeyedLoader):
    """A KeyedLoader for training whose batches hold two more images of each sample.

    `partner` has the same label, and is another image where there is another; `other` is any one.
    Both are keyed by (seed, epoch, sample): they do not depend on the
    batch, or on how many processes share it. They are never flipped.

    labels: (samples,) int64, of the whole source. Raises ValueError where some are unknown.
    """

    def __init__(self, source, *arguments, labels: Tensor, **keywords):
        super().__init__(source, *arguments, **keywords)
        if self.labelled is not None or (labels < 0).any():
            raise ValueError("Pairs of images of one label need all labels: data.labels=0.")
        self.labels = labels

    def partners(self) -> Tensor:
        """(samples,): for each sample, another of its label, drawn anew in each epoch."""
        order = self.labels.argsort(stable=True)  # samples of one label beside each other
        counts = self.labels.bincount()
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order))
        first, count = (counts.cumsum(0) - counts)[self.labels], counts[self.labels]
        draws = torch.randint(
            2**62, (len(order),), generator=keyed_generator(self.seed, self.epoch, "partner")
        )
        step = 1 + draws % (count - 1).clamp(min=1)  # around the label's samples, never all the way
        return order[first + (place - first + step) % count]

    def others(self) -> Tensor:
        """(samples,): a permutation, drawn anew in each epoch."""
        return keyed_permutation(len(self.labels), self.seed, self.epoch, "other")

    def _gather(self, batches, more):
        partners, others = self.partners(), self.others()
        triples = [torch.cat([batch, partners[batch], others[batch]]) for batch in batches]
        for batch in super()._gather(triples, triples):
            _, partner, other = batch["image"].tensor_split(3)
            first = {name: values.tensor_split(3)[0] for name, values in batch.items()}
            yield first | {"partner": partner, "other": other}
