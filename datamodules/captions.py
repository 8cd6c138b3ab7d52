"""Images with captions: one of an image's captions for each use, and samples of other classes."""

import torch
from torch import Tensor

from datamodules.loader import KeyedLoader, keyed
from zoo.text import from_ids

WRONG = ("wrong_image", "wrong_text")


class Captions:
    """Of a datamodule of images, the base class after it: what their captions add.

    A batch holds `text`, (N, T) int64, 0 after the end of a caption: see zoo/text.py. In training
    it is one of the image's captions, drawn anew in each epoch, and elsewhere the first. Where a
    model needs them, a training batch holds the image and the caption of a sample of another class
    for each: `wrong_image`, `wrong_text`. The sources are Captioned.
    """

    provides = ("image", "text", "label", "index", *WRONG)
    on_demand = ()
    extractor = None

    def training_loader(self, **settings):
        model = self.trainer and self.trainer.lightning_module
        wrong = bool(set(WRONG).intersection(getattr(model, "needs", ())))
        settings["flip"] = self.hparams.get("flip", False)
        return CaptionLoader(self.source("train"), wrong=wrong, **settings)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        wrong = {name: batch[name] for name in WRONG if name in batch}
        flip = {"flip": batch["flip"]} if "flip" in batch else {}
        rest = {name: values for name, values in batch.items() if name not in wrong}
        batch = super().on_after_batch_transfer(rest, dataloader_idx)
        if "wrong_image" in wrong:  # flipped as often as the right one, or it would be told by that
            images = {"image": wrong["wrong_image"]} | flip
            images = super().on_after_batch_transfer(images, dataloader_idx)
            wrong["wrong_image"] = images["image"]
        return batch | wrong

    def captions(self, text: Tensor) -> list[str]:
        """What the texts (N, T) of a batch say."""
        return from_ids(text)


class Captioned:
    """A source of images, and captions (N, K, T) of which each has the first `counts` (N,)."""

    def __init__(self, source, captions: Tensor, counts: Tensor):
        self.source = source
        self.labels = source.labels
        self.captions = captions.to(torch.int32)  # half of the memory
        self.counts = counts

    def __len__(self):
        return len(self.source)

    def __getitem__(self, positions):
        return self.source[positions] | {"text": self.captions[positions, 0].long()}


class CaptionLoader(KeyedLoader):
    """A KeyedLoader for training whose `text` is drawn of the captions of each image.

    wrong: adds `wrong_image` and `wrong_text`, a sample of another class; one without a label is a
    class of its own. Both draws are keyed by (seed, epoch, sample): they do not depend on the
    batch, or on how many processes share it. Raises ValueError where all are of one class.
    """

    def __init__(self, source, *arguments, wrong: bool, **keywords):
        super().__init__(source, *arguments, **keywords)
        whole, chosen = source.source, source.chosen
        self.captions, self.counts = whole.captions[chosen], whole.counts[chosen]
        labels = whole.labels[chosen]
        alone = labels.max().clamp(min=-1) + 1 + torch.arange(len(labels))
        self.labels = torch.where(labels < 0, alone, labels)
        self.wrong = wrong
        if wrong and (self.labels == self.labels[0]).all():
            raise ValueError("All captions are of one class: there is none that would be wrong.")

    def chosen_captions(self) -> Tensor:
        """(samples,): the place of a caption among those of each sample, anew in each epoch."""
        return self._draws("caption") % self.counts

    def wrongs(self) -> Tensor:
        """(samples,): for each sample one of another class, anew in each epoch."""
        order = self.labels.argsort(stable=True)  # samples of one class beside each other
        counts = self.labels.bincount()
        first, count = (counts.cumsum(0) - counts)[self.labels], counts[self.labels]
        place = self._draws("wrong") % (len(order) - count)  # among the others
        return order[torch.where(place < first, place, place + count)]

    def _draws(self, what):
        generator = keyed(self.seed, self.epoch, what)
        return torch.randint(2**62, (len(self.labels),), generator=generator)

    def _gather(self, batches, more):
        chosen = self.chosen_captions()
        if self.wrong:
            wrongs = self.wrongs()
            batches = [torch.cat([batch, wrongs[batch]]) for batch in batches]
        for batch in super()._gather(batches, batches):
            index = batch["index"]
            batch["text"] = self.captions[index, chosen[index]].long()
            if self.wrong:
                pairs = {name: values.tensor_split(2) for name, values in batch.items()}
                batch = {name: right for name, (right, _) in pairs.items()}
                batch |= {f"wrong_{name}": pairs[name][1] for name in ("image", "text")}
            yield batch
