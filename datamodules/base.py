"""What all data share, splits and loaders, and what images do: the way from uint8 to [-1, 1]."""

import os
from pathlib import Path

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from datamodules.loading.splits import SPLITS
from zoo.config.ranges import check_hyperparameters
from zoo.engine.loader import KeyedLoader, Subset
from zoo.engine.plain_values import make_plain_
from zoo.engine.seeds import keyed_permutation


class DataModule(LightningDataModule):
    """Samples of any sort as batches of the keys that `provides` names, in train, val and test.

    A subclass writes out its constructor (at least batch_size, val_count and split_seed; workers
    where they make sense) and overrides `open`. `val` is cut from the training set by split_seed,
    so it does not depend on the seed of the run; not where data have their own (`has_val_split`).
    """

    provides = ("index",)
    on_demand = ()  # what a batch holds only where a model needs it
    classes = 0  # 0 where no sample has a label
    class_names = ()  # of all labels in their order, where they are more than numbers
    extractor = None  # the features that measure such samples
    mixture = None  # centres (M, D) and sigma of the Gaussians that the samples are drawn from
    changeable_on_resume = (
        "workers",
        "root",
        "download",
        "corrupt",
    )  # by a resumed run: see engine/resume
    has_val_split = False  # whether `open` takes "val", too, and "train" is without these samples

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
            cut = split != "test" and not self.has_val_split
            self._sources |= self._train_and_val() if cut else {split: self._whole(split)}
        return (
            self.limit_to_overfit_batches(self._sources[split])
            if split == "train"
            else self._sources[split]
        )

    def limit_to_overfit_batches(self, train: Subset) -> Subset:
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

    def source_files(self, split: str) -> dict[str, Path]:
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
        data, and only they know it. Samples go back by `denormalize`.

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
