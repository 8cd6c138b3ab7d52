"""The base class of data modules that read a user's folder: files, splits, classes."""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from datamodules.base import DataModule
from datamodules.loading.files import class_folder, find_files, find_split_folders, label_classes
from datamodules.loading.splits import SPLITS, assign_splits, check_fractions
from zoo.engine.loader import KeyedLoader


class FolderData(DataModule):
    """Data in the files below a folder of the user's; the first base class of a data module.

    Subfolders are classes. If they are called train, val and test, they are splits, and their
    subfolders are the classes. A subclass sets `extensions` and `file_kind`, has the parameters
    below, and reads the `files` of a split in `open`.

    Args:
        root: The folder. Its subfolders are the classes, or train, val and test.
        val_fraction: Fraction of the files for validation, chosen by a hash of their paths; 0 uses
            none. It is ignored if `root` has a folder of validation files.
        test_fraction: Fraction of the files for testing, chosen like val_fraction.
        split_seed: Seed of the hashes.
    """

    extensions: tuple[str, ...] = ()  # of the files that are read, in lower case
    ignored_extensions: tuple[str, ...] = ()  # of files that no warning counts
    file_kind = ""  # what messages call a file
    has_val_split = True
    labels_hint = "Put the files of each class in a subfolder of data.root."
    holds_out_classes = False  # whether classes are meant to be in one split only

    def __init__(self):
        super().__init__()
        check_fractions(self.hparams.val_fraction, self.hparams.test_fraction)

    def files(self, split: str) -> list[Path]:
        """Return the files of "train", "val" or "test", sorted.

        Raises:
            ValueError: No file is left for training.
        """
        return [file for file, of in self._splits.items() if of == split]

    def source_files(self, split: str) -> dict[str, Path]:
        root = Path(self.hparams.root)
        files = [file for sample in self.files(split) for file in self.files_of(sample)]
        return {file.relative_to(root).as_posix(): file for file in files}

    def files_of(self, file: Path) -> list[Path]:
        """Return all files that are read for the samples of one of the `files`."""
        return [file]

    def usable_files(self) -> list[Path]:
        """Return the files that are assigned to splits, sorted; by default all of them."""
        return self._files

    def group_of(self, file: Path) -> str:
        """Return the name of a file's group, which is in one split; by default its own path."""
        return file.relative_to(self.root).as_posix()

    def split_of(self, file: Path) -> str:
        """Return the split that the folder of a file names, "train" if it names none."""
        return self._split_folders.get(file.relative_to(self.root).parts[0], "train")

    def fixed_splits(self, files: list[Path]) -> dict[Path, str]:
        """Return {file: split} of the files that the folder itself holds out.

        These are the files in the folders test and val; without a test folder, val is for testing.
        A split that is fixed for any file gets no others: hashes assign only the remaining files.
        """
        splits = {file: self.split_of(file) for file in files}
        only_val = "test" not in splits.values()
        return {
            file: "test" if only_val else split
            for file, split in splits.items()
            if split != "train"
        }

    @cached_property
    def _splits(self) -> dict[Path, str]:
        """The split of each file."""
        files, hp = self.usable_files(), self.hparams
        fixed = self.fixed_splits(files)
        fractions = {"val_fraction": hp.val_fraction, "test_fraction": hp.test_fraction}
        for split in set(fixed.values()) & {"val", "test"}:
            fractions[f"{split}_fraction"] = 0.0
        groups = {file: self.group_of(file) for file in files if file not in fixed}
        splits = assign_splits(sorted(set(groups.values())), hp.split_seed, **fractions)
        assigned = {file: fixed.get(file) or splits[groups[file]] for file in files}
        if "train" not in assigned.values():
            counts = [f"{list(assigned.values()).count(split)} for {split}" for split in SPLITS]
            raise ValueError(
                f"{self.root.absolute()}: of {len(files)} {self.file_kind} file(s) there are "
                f"{', '.join(counts)}. Add files, reduce data.val_fraction and "
                "data.test_fraction (0 is none), or change data.split_seed"
            )
        if self.classes and not self.holds_out_classes:
            self._warn_of_untrained_classes(assigned)
        return assigned

    def _warn_of_untrained_classes(self, splits: dict[Path, str]) -> None:
        """Warn once if a class has no training files."""
        trained = {self.class_of(file) for file, split in splits.items() if split == "train"}
        untrained = [name for name in self.class_names if name not in trained]
        if untrained:
            rank_zero_warn(
                f"{len(untrained)} of {len(self.class_names)} classes in {self.root.absolute()}, "
                f"such as {untrained[0]}, have no training {self.file_kind} files: all of theirs "
                "are held out for validation or testing, or unusable. Add files, reduce "
                "data.val_fraction and data.test_fraction, or change data.split_seed."
            )

    @property
    def root(self) -> Path:
        """The folder that the files are in."""
        return Path(self.hparams.root)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self._labels)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the class folders, in the order of their labels."""
        return tuple(self._labels)

    def class_of(self, file: Path) -> str | None:
        """Return the name of the class folder that a file is in; None if it is in none."""
        return class_folder(file.relative_to(self.root), self._split_folders)

    def labels_of(self, files: list[Path]) -> Tensor:
        """Return the label of each file, (N,) int64; -1 for files without a class."""
        labels = [self._labels.get(self.class_of(file) or "", -1) for file in files]
        return torch.tensor(labels, dtype=torch.int64)

    def training_loader(self, **settings: Any) -> KeyedLoader:
        model = self.trainer and self.trainer.lightning_module
        if "label" in getattr(model, "needs", ()):
            self._check_labeled(type(model).__name__)
        return super().training_loader(**settings)

    def _check_labeled(self, model: str) -> None:
        """Raise ValueError if a file of any split has no label: tests need labels, too."""
        files = self.usable_files()
        unlabeled = [file for file in files if self.class_of(file) is None]
        if unlabeled:
            raise ValueError(
                f"{model} needs labels, and {len(unlabeled)} of {len(files)} files in "
                f"{self.root.absolute()} are in no class folder, such as {unlabeled[0].name}: put "
                "each class into a folder of its own"
            )

    @cached_property
    def _files(self) -> list[Path]:
        """All files, sorted.

        Raises:
            FileNotFoundError: There are none.
        """
        try:
            return find_files(self.root, self.extensions, self.file_kind, self.ignored_extensions)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}: data.root=FOLDER says where it is.") from error

    @cached_property
    def _split_folders(self) -> dict[str, str]:
        return find_split_folders(self._files, self.root)

    @cached_property
    def _labels(self) -> dict[str, int]:
        """The label of each class name."""
        classes = {file: self.class_of(file) for file in self._files}
        labels = label_classes({name for name in classes.values() if name})
        unlabeled = [file for file, name in classes.items() if name is None]
        if labels and unlabeled:
            rank_zero_warn(
                f"{len(unlabeled)} of {len(classes)} files in {self.root.absolute()} are in no "
                f"class folder, such as {unlabeled[0].name}: they have no label (-1)."
            )
        trained = {name for file, name in classes.items() if self.split_of(file) == "train"}
        for file, name in classes.items():
            if name and name not in trained:
                raise ValueError(
                    f"{file.absolute()} is in the class {name}, which has no files in train/"
                )
        return labels
