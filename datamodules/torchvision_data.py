"""What the data sets of torchvision share."""

from pathlib import Path

from datamodules.image import ImageDataModule


class TorchvisionDataModule(ImageDataModule):
    """A dataset of torchvision's in the folder `root`, fetched where `download` is set.

    A subclass gives `layout`, the files that must lie in the root, `dataset`, and `load` or `open`
    by way of `found`.
    """

    layout = ""

    def dataset(self, split: str, download: bool):
        """torchvision's dataset of "train" or "test"."""
        raise NotImplementedError(f"{type(self).__name__} must define dataset(split, download)")

    def prepare_data(self):
        if self.hparams.download:
            for split in ("train", "test"):
                self.dataset(split, download=True)

    def found(self, split: str):
        """The dataset on disk; FileNotFoundError, naming the way out, if it is not there."""
        try:
            return self.dataset(split, download=False)
        except RuntimeError as error:
            raise self.not_found() from error

    def not_found(self) -> FileNotFoundError:
        """Return the error for files that are missing, which names the way out."""
        folder = Path(self.hparams.root).absolute()
        return FileNotFoundError(
            f"{type(self).__name__} is not found in {folder}, or incomplete: {self.layout} must be "
            "there. data.download=true fetches and unpacks it, data.root=FOLDER looks elsewhere"
        )
