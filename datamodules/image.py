"""The base class of image data: uint8 in memory, [-1, 1] on the device, labels, flips."""

from typing import Any

import torch
from torch import Tensor

from datamodules.base import DataModule
from datamodules.loading.binarize import BinarizedImages, BinarizingLoader
from datamodules.loading.label_budget import PartlyLabeled, check_budget, choose_labeled
from datamodules.loading.sources import InMemoryImages, Source, resize_images
from datamodules.loading.triples import TripleLoader
from zoo.engine.loader import KeyedLoader, Subset
from zoo.media.images import from_uint8, grid_of, to_uint8


class ImageDataModule(DataModule):
    """Images as batches of `image`, `label` and `index`.

    In training a batch holds `image`, (N, C, H, W) float in [-1, 1], `label`, (N,) int64, -1 for
    unlabeled images, and `index`, (N,) int64, the position in the split. Images stay uint8 until
    they are on the device, where they are scaled and flipped.

    A subclass overrides `load`, or `open` if the images do not fit in memory. These parameters have
    a meaning for every subclass that declares them.

    With labels=N, a training batch also holds as many labeled images as unlabeled ones:
    `labeled_image`, `labeled_label`, `labeled_index`. The other images have the label -1. Other
    splits and loaders keep all labels, because metrics need them. Batches of labeled data hold
    `partner`, another image of each label, and `other`, a random image, if the model needs them:
    see datamodules/loading/triples.py.

    Args:
        image_size: Height and width in pixels; images of another size are resized.
        flip: Mirror training images left to right with probability 1/2.
        labels: Number of training images that keep their labels, the same number of each class; 0
            keeps all.
        label_seed: Seed that chooses the images that keep their labels.
        binarize: Sample black and white images, with gray levels as probabilities of white: see
            datamodules/loading/binarize.py.
    """

    provides: tuple[str, ...] = ("image", "label", "index")
    on_demand: tuple[str, ...] = ("partner", "other")
    image_channels: int = 3
    image_size: Any = None  # int; a class attribute of data without the parameter
    extractor: str | None = "inception"
    denormalize = staticmethod(to_uint8)  # the inverse of `prepare_batch`, for samples of a model
    figure = staticmethod(grid_of)

    def __init__(self):
        super().__init__()
        self.image_size = self.hparams.get("image_size", self.image_size)
        if self.hparams.get("labels"):
            check_budget(self.hparams.labels, self.classes)
            self.provides = (*self.provides, *(f"labeled_{key}" for key in self.provides))
        if self.hparams.get("binarize"):
            self.name += ", binarized"
            self.on_demand = ()

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        """Return images, uint8 (N, C, H, W) of any size, and labels, int64 (N,).

        Args:
            split: "train", which includes the validation images, or "test".
        """
        raise NotImplementedError(f"{type(self).__name__} must define load(split) or open(split)")

    def open(self, split: str) -> Source:
        images, labels = self.load(split)
        source = InMemoryImages(resize_images(images, self.image_size), labels)
        return BinarizedImages(source, split) if self.hparams.get("binarize") else source

    def labeled_positions(self) -> Tensor:
        """Return the positions in "train" of the images that keep their labels, (labels,)."""
        train, hp = self.source("train"), self.hparams
        labels = train.source.labels[train.chosen]
        return choose_labeled(labels, self.classes, hp.labels, hp.label_seed)

    def training_loader(self, **settings: Any) -> KeyedLoader:
        train = self.source("train")
        source: Source = train
        make: type[KeyedLoader] = KeyedLoader
        if self.hparams.get("binarize"):
            source, make = Subset(train.source.grey, train.chosen), BinarizingLoader
        settings["flip"] = self.hparams.get("flip", False)
        if self.hparams.get("labels"):
            settings["labeled"] = self.labeled_positions()
            source = PartlyLabeled(source, settings["labeled"])
        model = self.trainer and self.trainer.lightning_module
        if not set(self.on_demand).intersection(getattr(model, "needs", ())):
            return make(source, **settings)
        return TripleLoader(source, labels=train.source.labels[train.chosen], **settings)

    def on_after_batch_transfer(
        self, batch: dict[str, Tensor], dataloader_idx: int
    ) -> dict[str, Tensor]:
        for kind in ("", "labeled_"):
            if f"{kind}image" not in batch:
                continue
            images = from_uint8(batch[f"{kind}image"], self.dtype)  # (N, C, H, W)
            flip = batch.pop(f"{kind}flip", None)
            if flip is not None:
                images = torch.where(flip[:, None, None, None], images.flip(-1), images)
            batch |= {f"{kind}image": images}
        triples = {name: batch[name] for name in self.on_demand if name in batch}
        return batch | {name: from_uint8(images, self.dtype) for name, images in triples.items()}
