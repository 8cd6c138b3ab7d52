"""What data read from a user's folder share: its files, their splits, its subfolders as classes."""

from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from datamodules.splits import SPLITS, assign_splits, check_fractions


class FolderData:
    """Of a datamodule: the files below the folder `root`; its subfolders are the classes.

    A subclass says the `endings` of the files and their `kind`, and has the parameters root,
    val_fraction, test_fraction and split_seed. Its `open` reads the `files` of a split.
    """

    endings = ()
    kind = ""
    opens_val = True

    def __init__(self):
        super().__init__()
        check_fractions(self.hparams.val_fraction, self.hparams.test_fraction)

    def files(self, split: str) -> list[Path]:
        """Return the files of "train", "val" or "test", sorted.

        Raises:
            ValueError: no file is left to train on.
        """
        return [file for file, of in self._splits.items() if of == split]

    def read_files(self, split: str) -> list[Path]:
        return self.files(split)

    def usable_files(self) -> list[Path]:
        """Return the files that are assigned to splits, sorted; here all of them."""
        return self._files

    def group_of(self, file: Path) -> str:
        """Return the name of what is assigned to a split as a whole; here the file's own."""
        return file.relative_to(self.root).as_posix()

    def fixed_splits(self, files: list[Path]) -> dict[Path, str]:
        """Return {file: split} where the folder itself says it; here nowhere.

        A split that is fixed for any file takes no others: only the rest is assigned by hashes.
        """
        return {}

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
        return len(self._subfolders)

    def labels_of(self, files: list[Path]) -> Tensor:
        """(N,) int64: the place of each file's subfolder among their names, -1 in none."""
        return torch.tensor([label_of(f, self.root, self._subfolders) for f in files]).long()

    @cached_property
    def _files(self) -> list[Path]:
        """All of them, sorted; FileNotFoundError, naming the way out, if there are none."""
        try:
            return files_below(self.root, self.endings, self.kind)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}: data.root=FOLDER says where it is.") from error

    @cached_property
    def _subfolders(self) -> dict[str, int]:
        return subfolders(self._files, self.root)


def files_below(root: Path, endings: tuple[str, ...], what: str) -> list[Path]:
    """All files below a folder with one of the endings, sorted; FileNotFoundError if none is."""
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root.absolute()}")
    files = sorted(f for f in root.rglob("[!.]*") if f.suffix.lower() in endings)
    if not files:
        raise FileNotFoundError(f"There is no {what} ({' '.join(endings)}) in {root.absolute()}")
    return files


def subfolders(files: list[Path], root: Path) -> dict[str, int]:
    """{name: label} of the subfolders of a folder that hold files, in the order of their names."""
    names = {file.relative_to(root).parts[0] for file in files if file.parent != root}
    return {name: label for label, name in enumerate(sorted(names))}


def label_of(file: Path, root: Path, labels: dict[str, int]) -> int:
    """That of the subfolder that holds a file; -1 for one that lies in the folder itself."""
    return labels[file.relative_to(root).parts[0]] if file.parent != root else -1
