"""The base class of data sets that torchvision reads and downloads."""

from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from datamodules.image import ImageDataModule


class TorchvisionDataModule(ImageDataModule):
    """A data set of torchvision in the folder `root`.

    A subclass sets `layout` and overrides `dataset`, and `load` or `open`, which call
    `open_dataset`.

    Args:
        root: Folder of the dataset.
        download: Download the dataset if it is missing.
    """

    layout = ""  # the files that must be in the root, for messages

    def dataset(self, split: str, download: bool) -> Dataset:
        """Return torchvision's data set of "train" or "test"."""
        raise NotImplementedError(f"{type(self).__name__} must define dataset(split, download)")

    def prepare_data(self) -> None:
        if self.hparams.download:
            for split in ("train", "test"):
                self.dataset(split, download=True)

    def open_dataset(self, split: str) -> Any:
        """Return torchvision's data set of a split from disk.

        Raises:
            FileNotFoundError: It is not in `root`.
        """
        try:
            return self.dataset(split, download=False)
        except RuntimeError as error:
            raise self.missing_error() from error

    def missing_error(self) -> FileNotFoundError:
        """Return the error for missing files, which names the way out."""
        folder = Path(self.hparams.root).absolute()
        return FileNotFoundError(
            f"{type(self).__name__} is missing or incomplete in {folder}: it needs {self.layout}. "
            "data.download=true downloads it, data.root=FOLDER names another folder"
        )
