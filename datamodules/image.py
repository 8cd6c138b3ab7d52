"""What image data share: from uint8 in memory to [-1, 1] on the device, labels, flips."""

import torch
from torch import Tensor

from datamodules.base import DataModule
from datamodules.loading.binarize import BinarizedImages, BinarizingLoader
from datamodules.loading.label_budget import PartlyLabelled, check_budget, choose_labelled
from datamodules.loading.sources import InMemoryImages, resize_images
from datamodules.loading.triples import TripleLoader
from zoo.engine.loader import KeyedLoader, Subset
from zoo.media.images import from_uint8, grid_of, to_uint8


class ImageDataModule(DataModule):
    """Images as batches of `image`, `label` and `index`.

    In training a batch holds `image`, (N, C, H, W) float in [-1, 1], `label`, (N,) int64, -1 where
    unlabelled, and `index`, (N,) int64, the place in the split. Images stay uint8 until they are
    on the device, where they are flipped, too.

    A subclass's constructor mostly has image_size, and flip where it makes sense. It overrides
    `load`, or `open` where the images do not fit in memory.

    Where a subclass has the parameters labels and label_seed, training knows only so many labels,
    as many of each class, drawn by label_seed; 0 are all. Other images have the label -1, and a
    batch holds as many labelled ones again: `labelled_image`, `labelled_label`, `labelled_index`.
    Splits and their loaders keep all labels, for what measures. Where a model needs them, a batch
    of labelled data holds `partner`, another image of each label, and `other`, one of any label.

    Where a subclass has the parameter binarize, it makes images black and white: see binary.py.
    """

    provides = ("image", "label", "index")
    on_demand = ("partner", "other")  # see triples.py
    image_channels = 3
    image_size = None  # where it is no parameter
    extractor = "inception"
    denormalize = staticmethod(to_uint8)  # samples of a model -> as `loader` gives the real images
    figure = staticmethod(grid_of)

    def __init__(self):
        super().__init__()
        self.image_size = self.hparams.get("image_size", self.image_size)
        if self.hparams.get("labels"):
            check_budget(self.hparams.labels, self.classes)
            self.provides = (*self.provides, *(f"labelled_{key}" for key in self.provides))
        if self.hparams.get("binarize"):
            self.name += ", binarized"
            self.on_demand = ()

    def load(self, split: str):
        """Images uint8 (N, C, H, W) of any size, and labels int64 (N,), of "train" or "test"."""
        raise NotImplementedError(f"{type(self).__name__} must define load(split) or open(split)")

    def open(self, split: str):
        images, labels = self.load(split)
        source = InMemoryImages(resize_images(images, self.image_size), labels)
        return BinarizedImages(source, split) if self.hparams.get("binarize") else source

    def labelled_positions(self) -> Tensor:
        """Return the positions in "train" that keep their labels, (labels,)."""
        train, hp = self.source("train"), self.hparams
        labels = train.source.labels[train.chosen]
        return choose_labelled(labels, self.classes, hp.labels, hp.label_seed)

    def training_loader(self, **settings):
        train = source = self.source("train")
        make = KeyedLoader
        if self.hparams.get("binarize"):
            source, make = Subset(train.source.grey, train.chosen), BinarizingLoader
        settings["flip"] = self.hparams.get("flip", False)
        if self.hparams.get("labels"):
            settings["labelled"] = self.labelled_positions()
            source = PartlyLabelled(source, settings["labelled"])
        model = self.trainer and self.trainer.lightning_module
        if not set(self.on_demand).intersection(getattr(model, "needs", ())):
            return make(source, **settings)
        return TripleLoader(source, labels=train.source.labels[train.chosen], **settings)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        for kind in ("", "labelled_"):
            if f"{kind}image" not in batch:
                continue
            images = from_uint8(batch[f"{kind}image"], self.dtype)
            flip = batch.pop(f"{kind}flip", None)
            if flip is not None:
                images = torch.where(flip[:, None, None, None], images.flip(-1), images)
            batch |= {f"{kind}image": images}
        triples = {name: batch[name] for name in self.on_demand if name in batch}
        return batch | {name: from_uint8(images, self.dtype) for name, images in triples.items()}
