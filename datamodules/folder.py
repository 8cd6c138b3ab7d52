"""What data read from a user's folder share: its files, and its subfolders as classes."""

from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor


class FolderData:
    """Of a datamodule: the files below the folder `root`; its subfolders are the classes.

    A subclass says the `endings` of the files and their `kind`, and has the parameter root.
    """

    endings = ()
    kind = ""

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
