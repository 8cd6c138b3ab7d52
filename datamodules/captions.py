"""The base class of images with captions; captions and images of other classes as negatives."""

from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor

from datamodules.image import ImageDataModule
from datamodules.loading.sources import ImageFiles, InMemoryImages
from zoo.engine.loader import KeyedLoader, Subset
from zoo.engine.seeds import keyed_generator
from zoo.media.text import from_ids, words_of

WRONG = ("wrong_image", "wrong_text")  # keys of mismatched images and captions


class WithCaptions(ImageDataModule):
    """Images with captions; the first base class of a data module, before another image class.

    A batch holds `text`, (N, T) int64, 0 after the end of a caption: see zoo/media/text.py. In
    training it is one of the image's captions, drawn anew in each epoch; elsewhere it is the first.
    If the model needs them, a training batch also holds `wrong_image` and `wrong_text`, the image
    and the caption of a sample of another class. `open` must return CaptionedImages.
    """

    provides = ("image", "text", "label", "index", *WRONG)
    on_demand = ()

    def training_loader(self, **settings: Any) -> KeyedLoader:
        model = self.trainer and self.trainer.lightning_module
        wrong = [name for name in WRONG if name in getattr(model, "needs", ())]
        settings["flip"] = self.hparams.get("flip", False)
        return CaptionLoader(self.source("train"), wrong=wrong, **settings)

    def on_after_batch_transfer(
        self, batch: dict[str, Tensor], dataloader_idx: int
    ) -> dict[str, Tensor]:
        wrong = {name: batch[name] for name in WRONG if name in batch}
        flip = {"flip": batch["flip"]} if "flip" in batch else {}
        rest = {name: values for name, values in batch.items() if name not in wrong}
        batch = super().on_after_batch_transfer(rest, dataloader_idx)
        if "wrong_image" in wrong:  # flipped alike, or flips would tell it apart
            images = {"image": wrong["wrong_image"]} | flip
            images = super().on_after_batch_transfer(images, dataloader_idx)
            wrong["wrong_image"] = images["image"]
        return batch | wrong

    def captions(self, text: Tensor) -> list[str]:
        """Return the text of captions (N, T)."""
        return from_ids(text)

    def vocabulary(self) -> set[str]:
        """Return the words of all training captions."""
        train = self.source("train")
        captions = train.source.captions[train.chosen].flatten(0, 1).unique(dim=0)
        return {word for caption in from_ids(captions) for word in words_of(caption)}


class CaptionedImages:
    """A source of images with captions.

    Args:
        source: The images, with `labels`.
        captions: Up to K captions for each image, (N, K, T).
        counts: How many captions each image has, (N,).
        attributes: Further properties of each image, {name: (N,)}.
    """

    def __init__(
        self,
        source: InMemoryImages | ImageFiles,
        captions: Tensor,
        counts: Tensor,
        attributes: dict[str, Tensor] | None = None,
    ):
        self.source = source
        self.labels = source.labels
        self.captions = captions.to(torch.uint8)  # the alphabet has 69 characters
        self.counts = counts
        self.attributes = attributes or {}

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, positions: Tensor) -> dict[str, Tensor]:
        return self.source[positions] | {"text": self.captions[positions, 0].long()}


class CaptionLoader(KeyedLoader):
    """A KeyedLoader for training that draws `text` from the captions of each image.

    All draws are keyed by (seed, epoch, sample), so they depend neither on the batch nor on the
    number of processes.

    Args:
        source: A Subset of CaptionedImages.
        *arguments: As in KeyedLoader.
        wrong: The keys of WRONG to add, from a sample of another class. A sample without a label is
            its own class.
        **keywords: As in KeyedLoader.

    Raises:
        ValueError: All samples are of one class, and `wrong` is not empty.
    """

    def __init__(
        self, source: Subset, *arguments: Any, wrong: Collection[str] = (), **keywords: Any
    ):
        super().__init__(source, *arguments, **keywords)
        whole, chosen = source.source, source.chosen
        self.captions, self.counts = whole.captions[chosen], whole.counts[chosen]
        self.labels = make_unlabeled_distinct(whole.labels[chosen])
        self.wrong = wrong
        if wrong and (self.labels == self.labels[0]).all():
            raise ValueError(
                "All captions are of one class: there are no mismatched ones. Add another class."
            )

    def caption_numbers(self) -> Tensor:
        """Draw which caption of each sample is used, (samples,) int64, anew in each epoch."""
        return self._draws("caption") % self.counts

    def mismatched_positions(self) -> Tensor:
        """Draw a sample of another class for each sample, (samples,) int64, anew in each epoch."""
        order = self.labels.argsort(stable=True)  # groups the samples by class
        counts = self.labels.bincount()
        first, count = (counts.cumsum(0) - counts)[self.labels], counts[self.labels]
        place = self._draws("wrong") % (len(order) - count)  # among the other classes
        return order[torch.where(place < first, place, place + count)]

    def _draws(self, what: str) -> Tensor:
        """Draw (samples,) int64 in [0, 2^62)."""
        generator = keyed_generator(self.seed, self.epoch, what)
        return torch.randint(2**62, (len(self.labels),), generator=generator)

    def _load(self, batches: list[Tensor], more: list[Tensor]) -> Iterator[dict[str, Tensor]]:
        chosen = self.caption_numbers()
        mismatched = self.mismatched_positions() if self.wrong else torch.empty(0)
        if "wrong_image" in self.wrong:
            batches = [torch.cat([batch, mismatched[batch]]) for batch in batches]
        for batch in super()._load(batches, batches):
            if "wrong_image" in self.wrong:
                pairs = {name: values.tensor_split(2) for name, values in batch.items()}
                batch = {name: right for name, (right, _) in pairs.items()}
                batch["wrong_image"] = pairs["image"][1]
            places = {"text": batch["index"]}
            if "wrong_text" in self.wrong:
                places["wrong_text"] = mismatched[batch["index"]]
            texts = {name: self.captions[at, chosen[at]].long() for name, at in places.items()}
            yield batch | texts


def make_unlabeled_distinct(labels: Tensor) -> Tensor:
    """Replace each -1 in labels (N,) by a new class of its own."""
    alone = labels.max().clamp(min=-1) + 1 + torch.arange(len(labels))
    return torch.where(labels < 0, alone, labels)
