"""The base class of all data modules: splits, loaders, and the mapping to what a model takes."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningDataModule, LightningModule
from torch import Tensor

from datamodules.loading.sources import Source
from datamodules.loading.splits import SPLITS
from zoo.config.hyperparameters import check_hyperparameters
from zoo.engine.loader import KeyedLoader, Subset
from zoo.engine.plain_values import make_plain_
from zoo.engine.seeds import keyed_permutation, run_seed


class DataModule(LightningDataModule):
    """Data of any kind, as batches with the keys in `provides`, in the splits train, val and test.

    A subclass writes out its constructor (at least batch_size, val_count and split_seed) and
    overrides `open`. The validation split is cut from the training set by split_seed, so it does
    not depend on the seed of a run. Data with a validation split of their own set `has_val_split`.

    Args:
        batch_size: Samples per batch and process.
        val_count: Number of training samples held out for validation.
        split_seed: Seed of the validation split. Synthetic datasets are also generated from it.
        workers: Number of processes that prefetch batches; 0 loads in the training process.
    """

    hparams: Any  # the constructor's parameters as attributes
    provides: tuple[str, ...] = ("index",)
    on_demand: tuple[str, ...] = ()  # keys that a batch has only if the model needs them
    classes: int = 0  # 0 for data without labels
    labels_hint: str = ""  # how the user can give these data labels, in error messages
    class_names: tuple[str, ...] = ()  # in the order of the labels; () if labels are only numbers
    extractor: str | None = None  # the feature extractor for metrics of these data
    mixture: tuple[Tensor, float] | None = None  # centers (M, D) and sigma, of Gaussian mixtures
    # Parameters that a resumed run may change, see zoo/runs/resume.py.
    changeable_on_resume: tuple[str, ...] = ("workers", "root", "download", "corrupt")
    has_val_split: bool = False  # whether `open("val")` exists and "train" excludes these samples

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        make_plain_(self.hparams)
        check_hyperparameters(self, "data")
        # Without it Lightning refuses splits that leave a process without a batch.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self.name = type(self).__module__.rpartition(".")[2]
        self.batch_size = self.hparams.batch_size
        self._sources: dict[str, Subset] = {}
        self._reader: LightningModule | None = None  # the model of `prepare_batch`

    def open(self, split: str) -> Source:
        """Return the source of a split: "train", which includes the validation samples, or "test".

        If `has_val_split` is set, "val" is a split too, and "train" excludes its samples.
        """
        raise NotImplementedError(f"{type(self).__name__} must define open(split)")

    def figure(self, samples: Tensor) -> Tensor:
        """Draw samples of a model as one image, uint8 (3, H, W)."""
        raise NotImplementedError(f"{type(self).__name__} must define figure(samples)")

    def source(self, split: str) -> Subset:
        """Return the samples of "train", "val" or "test"; they are loaded at the first call.

        Raises:
            ValueError: The split does not exist, or val_count leaves no training samples.
        """
        if split not in SPLITS:
            raise ValueError(f"there is no split {split!r}: there are {', '.join(SPLITS)}")
        if split not in self._sources:
            cut = split != "test" and not self.has_val_split
            self._sources |= self._train_and_val() if cut else {split: self._open_whole(split)}
        source = self._sources[split]
        return self.limit_to_overfit_batches(source) if split == "train" else source

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
        world_size = getattr(self.trainer, "world_size", 1)
        count = batches * self.batch_size * world_size
        return Subset(train.source, train.chosen[:count])

    def source_files(self, split: str) -> dict[str, Path]:
        """Return {path below `root`: file} of the user's files that a split is read from."""
        return {}

    def loader(
        self, split: str, batch_size: int = 500, rank: int = 0, world_size: int = 1
    ) -> KeyedLoader:
        """Return a loader of a split in its order, without padding.

        Batches are raw, as the source has them: see `prepare_batch`. No Trainer is needed.
        """
        workers = self.hparams.get("workers", 0)
        source = self.source(split)
        return KeyedLoader(source, batch_size, rank=rank, world_size=world_size, workers=workers)

    def training_loader(self, **settings: Any) -> KeyedLoader:
        """Return a loader of "train" for training; the settings are those of KeyedLoader."""
        return KeyedLoader(self.source("train"), **settings)

    def prepare_batch(self, batch: dict[str, Tensor], model: LightningModule) -> dict[str, Tensor]:
        """Convert a raw batch to the tensors that a model is trained on.

        Code that reads raw samples and passes them to a model must call this, because only the data
        know their mapping. `denormalize` is the inverse.

        Args:
            batch: Samples as `source` or `loader` returns them.
            model: The result has its device and dtype.

        Returns:
            The batch as `on_after_batch_transfer` returns it in training.
        """
        moved = {name: values.to(model.device) for name, values in batch.items()}
        self._reader = model
        try:
            return self.on_after_batch_transfer(moved, 0)
        finally:
            self._reader = None

    @property
    def reader(self) -> Any:
        """The model that the batches are for, or None."""
        return self._reader or (self.trainer and self.trainer.lightning_module)

    @property
    def dtype(self) -> Any:
        """The dtype of the model that the batches are for."""
        return self.reader.dtype if self.reader else torch.float32

    def setup(self, stage: str | None = None) -> None:
        self.source("test" if stage == "test" else "train")

    def train_dataloader(self) -> KeyedLoader:
        loader = self.training_loader(
            batch_size=self.batch_size,
            seed=run_seed(),
            drop_last=True,
            workers=self.hparams.get("workers", 0),
            **self._rank_and_world_size(),
        )
        if self.trainer is not None:  # for Trainer(reload_dataloaders_every_n_epochs=...)
            loader.epoch = self.trainer.current_epoch
        return loader

    def val_dataloader(self) -> KeyedLoader | list:
        if not len(self.source("val")):
            return []
        return self.loader("val", self.batch_size, **self._rank_and_world_size())

    def test_dataloader(self) -> KeyedLoader:
        return self.loader("test", self.batch_size, **self._rank_and_world_size())

    def predict_dataloader(self) -> KeyedLoader:
        return self.test_dataloader()

    def _rank_and_world_size(self) -> dict[str, int]:
        if self.trainer is None:
            return {}
        return {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}

    def _open_whole(self, split: str) -> Subset:
        whole = self.open(split)
        return Subset(whole, torch.arange(len(whole)))

    def _train_and_val(self) -> dict[str, Subset]:
        whole, val_count = self.open("train"), self.hparams.val_count
        if not 0 <= val_count < len(whole):
            raise ValueError(
                f"data.val_count={val_count} must be from 0 to {len(whole) - 1}: there are "
                f"{len(whole)} samples, and at least one must be left for training"
            )
        order = keyed_permutation(len(whole), self.hparams.split_seed, "val")
        val, train = order[:val_count].sort().values, order[val_count:].sort().values
        return {"train": Subset(whole, train), "val": Subset(whole, val)}
