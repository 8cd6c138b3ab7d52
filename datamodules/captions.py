"""Images with captions: one of an image's captions for each use, and samples of other classes."""

import torch
from torch import Tensor

from zoo.engine.loader import KeyedLoader
from zoo.engine.seeds import keyed_generator
from zoo.media.text import from_ids

WRONG = ("wrong_image", "wrong_text")


class WithCaptions:
    """Of a datamodule of images, the base class after it: what their captions add.

    No base class of its own, for it is added to data of two kinds, drawn ones and a user's files.

    A batch holds `text`, (N, T) int64, 0 after the end of a caption: see zoo/media/text.py. In
    training it is one of the image's captions, drawn anew in each epoch, and elsewhere the first.
    Where a model needs it, a training batch holds the image, `wrong_image`, or the caption,
    `wrong_text`, of a sample of another class for each. The sources are CaptionedImages.
    """

    provides = ("image", "text", "label", "index", *WRONG)
    on_demand = ()

    def training_loader(self, **settings):
        model = self.trainer and self.trainer.lightning_module
        wrong = [name for name in WRONG if name in getattr(model, "needs", ())]
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


class CaptionedImages:
    """A source of images, and captions (N, K, T) of which each has the first `counts` (N,)."""

    def __init__(self, source, captions: Tensor, counts: Tensor):
        self.source = source
        self.labels = source.labels
        self.captions = captions.to(torch.uint8)  # the alphabet has 69 characters
        self.counts = counts

    def __len__(self):
        return len(self.source)

    def __getitem__(self, positions):
        return self.source[positions] | {"text": self.captions[positions, 0].long()}


class CaptionLoader(KeyedLoader):
    """A KeyedLoader for training whose `text` is drawn of the captions of each image.

    wrong: which of WRONG to add, of a sample of another class; one without a label is a class of
    its own. Both draws are keyed by (seed, epoch, sample): they do not depend on the
    batch, or on how many processes share it. Raises ValueError where all are of one class.
    """

    def __init__(self, source, *arguments, wrong=(), **keywords):
        super().__init__(source, *arguments, **keywords)
        whole, chosen = source.source, source.chosen
        self.captions, self.counts = whole.captions[chosen], whole.counts[chosen]
        self.labels = make_unlabelled_distinct(whole.labels[chosen])
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
        generator = keyed_generator(self.seed, self.epoch, what)
        return torch.randint(2**62, (len(self.labels),), generator=generator)

    def _gather(self, batches, more):
        chosen, wrongs = self.chosen_captions(), self.wrongs() if self.wrong else None
        if "wrong_image" in self.wrong:
            batches = [torch.cat([batch, wrongs[batch]]) for batch in batches]
        for batch in super()._gather(batches, batches):
            if "wrong_image" in self.wrong:
                pairs = {name: values.tensor_split(2) for name, values in batch.items()}
                batch = {name: right for name, (right, _) in pairs.items()}
                batch["wrong_image"] = pairs["image"][1]
            places = {"text": batch["index"]}
            if "wrong_text" in self.wrong:
                places["wrong_text"] = wrongs[batch["index"]]
            texts = {name: self.captions[at, chosen[at]].long() for name, at in places.items()}
            yield batch | texts


def make_unlabelled_distinct(labels: Tensor) -> Tensor:
    """Labels (N,), of which each -1 becomes a class of its own."""
    alone = labels.max().clamp(min=-1) + 1 + torch.arange(len(labels))
    return torch.where(labels < 0, alone, labels)
