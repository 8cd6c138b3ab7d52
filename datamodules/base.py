"""What all data share, splits and loaders, and what images do: the way from uint8 to [-1, 1]."""

import os
from pathlib import Path

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from datamodules.loading.binarize import Binarized, BinarizingLoader
from datamodules.loading.label_budget import FewLabels, check_budget, choose_labelled
from datamodules.loading.sources import InMemoryImages, resized
from datamodules.loading.splits import SPLITS
from datamodules.loading.triples import TripleLoader
from zoo.config.ranges import check_hyperparameters
from zoo.engine.loader import KeyedLoader, Subset
from zoo.engine.plain_values import make_plain_
from zoo.engine.seeds import keyed_permutation
from zoo.media.images import from_uint8, grid_of, to_uint8


class DataModule(LightningDataModule):
    """Samples of any sort as batches of the keys that `provides` names, in train, val and test.

    A subclass writes out its constructor (at least batch_size, val_count and split_seed; workers
    where they make sense) and overrides `open`. `val` is cut from the training set by split_seed,
    so it does not depend on the seed of the run; not where data have their own (`opens_val`).
    """

    provides = ("index",)
    on_demand = ()  # what a batch holds only where a model needs it
    classes = 0  # 0 where no sample has a label
    class_names = ()  # of all labels in their order, where they are more than numbers
    extractor = None  # the features that measure such samples
    mixture = None  # centres (M, D) and sigma of the Gaussians that the samples are drawn from
    may_change = ("workers", "root", "download", "corrupt")  # by a resumed run: see engine/resume
    opens_val = False  # whether `open` takes "val", too, and "train" is without these samples

    def __init__(self):
        super().__init__()
        self.save_hyperparameters(logger=False)
        make_plain_(self.hparams)
        check_hyperparameters(self, "data")
        self.allow_zero_length_dataloader_with_multiple_devices = True  # evaluation is not padded
        self.name = type(self).__module__.rpartition(".")[2]
        self.batch_size = self.hparams.batch_size
        self._sources = {}
        self._reader = None  # the model of prepare_batch

    def open(self, split: str):
        """The source (see sources.py) of "train", validation samples included, or "test"."""
        raise NotImplementedError(f"{type(self).__name__} must define open(split)")

    def figure(self, samples: Tensor) -> Tensor:
        """Samples of a model as one uint8 (3, H, W)."""
        raise NotImplementedError(f"{type(self).__name__} must define picture(samples)")

    def source(self, split: str) -> Subset:
        """The samples of "train", "val" or "test"; loaded at the first call."""
        if split not in SPLITS:
            raise ValueError(f"there is no split {split!r}: there are {', '.join(SPLITS)}")
        if split not in self._sources:
            cut = split != "test" and not self.opens_val
            self._sources |= self._train_and_val() if cut else {split: self._whole(split)}
        return self.overfitted(self._sources[split]) if split == "train" else self._sources[split]

    def overfitted(self, train: Subset) -> Subset:
        """Return only the samples of `trainer.overfit_batches` batches, if that is set.

        Lightning takes the first batches of each epoch. The order changes with the epoch, so these
        would be other samples each time.
        """
        batches = getattr(self.trainer, "overfit_batches", 0)
        if not batches:
            return train
        if not isinstance(batches, int):
            raise ValueError(f"trainer.overfit_batches={batches} must be a number of batches")
        count = batches * self.batch_size * self.trainer.world_size
        return Subset(train.source, train.chosen[:count])

    def read_files(self, split: str) -> dict[str, Path]:
        """Return {path below `root`: file} of the user's files that a split is read from."""
        return {}

    def loader(
        self, split: str, batch_size: int = 500, rank: int = 0, world_size: int = 1
    ) -> KeyedLoader:
        """A split in order, unpadded, raw: as its source gives it. Needs no Trainer."""
        workers = self.hparams.get("workers", 0)
        source = self.source(split)
        return KeyedLoader(source, batch_size, rank=rank, world_size=world_size, workers=workers)

    def training_loader(self, **settings) -> KeyedLoader:
        """Batches of "train"; settings: those of KeyedLoader."""
        return KeyedLoader(self.source("train"), **settings)

    def prepare_batch(self, batch: dict[str, Tensor], model) -> dict[str, Tensor]:
        """Bring a raw batch to the form that the model is trained on.

        Whoever reads raw samples and passes them to a model calls this: the scaling belongs to the
        data, and only they know it. Samples go back by `raw`.

        Args:
            batch: samples as `source` or `loader` gives them.
            model: its device and dtype are those of the result.

        Returns:
            The batch as `on_after_batch_transfer` gives it in training.
        """
        moved = {name: values.to(model.device) for name, values in batch.items()}
        self._reader = model
        try:
            return self.on_after_batch_transfer(moved, 0)
        finally:
            self._reader = None

    @property
    def dtype(self):
        """That of the model which the batches are for."""
        model = self._reader or (self.trainer and self.trainer.lightning_module)
        return model.dtype if model else torch.float32

    def setup(self, stage: str | None = None):
        self.source("test" if stage == "test" else "train")

    def train_dataloader(self):
        loader = self.training_loader(
            batch_size=self.batch_size,
            seed=int(os.environ.get("PL_GLOBAL_SEED", 0)),
            drop_last=True,
            workers=self.hparams.get("workers", 0),
            **self._share(),
        )
        if self.trainer is not None:  # where Trainer(reload_dataloaders_every_n_epochs) asks again
            loader.epoch = self.trainer.current_epoch
        return loader

    def val_dataloader(self):
        if not len(self.source("val")):
            return []
        return self.loader("val", self.batch_size, **self._share())

    def test_dataloader(self):
        return self.loader("test", self.batch_size, **self._share())

    def predict_dataloader(self):
        return self.test_dataloader()

    def _share(self):
        """Which process this is, of how many."""
        if self.trainer is None:
            return {}
        return {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}

    def _whole(self, split):
        whole = self.open(split)
        return Subset(whole, torch.arange(len(whole)))

    def _train_and_val(self):
        whole, val_count = self.open("train"), self.hparams.val_count
        if not 0 <= val_count < len(whole):
            raise ValueError(
                f"data.val_count={val_count} must be from 0 to {len(whole) - 1}: there are "
                f"{len(whole)} samples, and one at least is for training"
            )
        order = keyed_permutation(len(whole), self.hparams.split_seed, "val")
        val, train = order[:val_count].sort().values, order[val_count:].sort().values
        return {"train": Subset(whole, train), "val": Subset(whole, val)}


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
    raw = staticmethod(to_uint8)  # samples of a model -> as `loader` gives the real images
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
        source = InMemoryImages(resized(images, self.image_size), labels)
        return Binarized(source, split) if self.hparams.get("binarize") else source

    def labelled(self) -> Tensor:
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
            settings["labelled"] = self.labelled()
            source = FewLabels(source, settings["labelled"])
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
