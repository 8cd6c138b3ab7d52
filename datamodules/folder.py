"""What data read from a user's folder share: its files, and its subfolders as classes."""

from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from datamodules.sources import files_below, label_of, subfolders


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
