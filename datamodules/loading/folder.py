"""What data read from a user's folder share: its files, their splits, its subfolders as classes."""

from functools import cached_property
from pathlib import Path

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from datamodules.loading.files import class_folder, find_files, find_split_folders, number
from datamodules.loading.splits import SPLITS, assign_splits, check_fractions


class FolderData:
    """Of a datamodule: the files below the folder `root`; its subfolders are the classes.

    Where the subfolders are train, val and test, these are the splits, and the classes are the
    subfolders of these. A subclass says the `endings` of the files and their `kind`, and has the
    parameters root, val_fraction, test_fraction and split_seed. Its `open` reads the `files` of a
    split.
    """

    endings = ()
    beside = ()  # endings of files that may lie beside them
    kind = ""
    has_val_split = True

    def __init__(self):
        super().__init__()
        check_fractions(self.hparams.val_fraction, self.hparams.test_fraction)

    def files(self, split: str) -> list[Path]:
        """Return the files of "train", "val" or "test", sorted.

        Raises:
            ValueError: no file is left to train on.
        """
        return [file for file, of in self._splits.items() if of == split]

    def source_files(self, split: str) -> dict[str, Path]:
        root = Path(self.hparams.root)
        files = [file for sample in self.files(split) for file in self.files_of(sample)]
        return {file.relative_to(root).as_posix(): file for file in files}

    def files_of(self, file: Path) -> list[Path]:
        """Return the files that one sample, or the samples of one file, are read from."""
        return [file]

    def usable_files(self) -> list[Path]:
        """Return the files that are assigned to splits, sorted; here all of them."""
        return self._files

    def group_of(self, file: Path) -> str:
        """Return the name of what is assigned to a split as a whole; here the file's own."""
        return file.relative_to(self.root).as_posix()

    def split_of(self, file: Path) -> str:
        """Return the split that the folder of a file names, "train" if it names none."""
        return self._split_folders.get(file.relative_to(self.root).parts[0], "train")

    def fixed_splits(self, files: list[Path]) -> dict[Path, str]:
        """Return {file: split} of the files that the folder itself holds out.

        These are the files in the folders test and val; without a test folder, val is for testing.
        A split that is fixed for any file takes no others: only the rest is assigned by hashes.
        """
        splits = {file: self.split_of(file) for file in files}
        only = "test" not in splits.values()
        return {
            file: "test" if only else split for file, split in splits.items() if split != "train"
        }

    @cached_property
    def _splits(self) -> dict[Path, str]:
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
                f"{self.root.absolute()}: of {len(files)} {self.kind} file(s) there are "
                f"{', '.join(counts)}. Add files, hold out fewer by data.val_fraction and "
                "data.test_fraction (0 is none), or take another data.split_seed"
            )
        return assigned

    @property
    def root(self) -> Path:
        return Path(self.hparams.root)

    @property
    def classes(self) -> int:
        return len(self._labels)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the class folders; the place of a name is its label."""
        return tuple(self._labels)

    def class_of(self, file: Path) -> str | None:
        """Return the name of the class folder that holds a file; None if none does."""
        return class_folder(file.relative_to(self.root), self._split_folders)

    def labels_of(self, files: list[Path]) -> Tensor:
        """(N,) int64: the place of each file's class among the names, -1 without a class."""
        labels = [self._labels.get(self.class_of(file), -1) for file in files]
        return torch.tensor(labels, dtype=torch.int64)

    def training_loader(self, **settings):
        model = self.trainer and self.trainer.lightning_module
        if "label" in getattr(model, "needs", ()):
            self._check_labelled(type(model).__name__)
        return super().training_loader(**settings)

    def _check_labelled(self, model: str) -> None:
        """ValueError if a file of any split has no label: a model is tested with labels, too."""
        files = self.usable_files()
        unlabelled = [file for file in files if self.class_of(file) is None]
        if unlabelled:
            raise ValueError(
                f"{model} needs labels, and {len(unlabelled)} of {len(files)} files in "
                f"{self.root.absolute()} lie in no class folder, such as {unlabelled[0].name}: put "
                "each class into a folder of its own"
            )

    @cached_property
    def _files(self) -> list[Path]:
        """All of them, sorted; FileNotFoundError, naming the way out, if there are none."""
        try:
            return find_files(self.root, self.endings, self.kind, self.beside)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}: data.root=FOLDER says where it is.") from error

    @cached_property
    def _split_folders(self) -> dict[str, str]:
        return find_split_folders(self._files, self.root)

    @cached_property
    def _labels(self) -> dict[str, int]:
        """{name of a class: its label}"""
        classes = {file: self.class_of(file) for file in self._files}
        labels = number({name for name in classes.values() if name})
        unlabelled = [file for file, name in classes.items() if name is None]
        if labels and unlabelled:
            rank_zero_warn(
                f"{len(unlabelled)} of {len(classes)} files in {self.root.absolute()} lie in no "
                f"class folder, such as {unlabelled[0].name}: they have no label (-1)."
            )
        trained = {name for file, name in classes.items() if self.split_of(file) == "train"}
        for file, name in classes.items():
            if name and name not in trained:
                raise ValueError(
                    f"{file.absolute()} is of the class {name}, which has nothing to train on"
                )
        return labels
