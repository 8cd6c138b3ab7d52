"""A folder of your own images."""

from functools import cached_property
from pathlib import Path

from pytorch_lightning.utilities import rank_zero_warn
from torchvision.datasets.folder import IMG_EXTENSIONS

from datamodules.image import ImageDataModule
from datamodules.loading.decoding import find_faulty_images, raise_if_faulty
from datamodules.loading.folder import FolderData
from datamodules.loading.sources import ImageFiles


class ImageFolder(FolderData, ImageDataModule):
    """A folder of your own images, flat or with one subfolder per class, read from disk as needed.

    Subfolders are the classes, in natural order (2 before 10). Images directly in `root` have no
    label (-1).
    EXIF orientation is applied, and the center square of each image is resized. Color profiles are
    ignored.

    An image's split is chosen by a hash of split_seed and its path in `root`, so adding or removing
    images does not change the split of others.

    Each file is decoded once before training. A file is faulty if it cannot be read, has
    transparent pixels, or is gray-scale with more than 8 bits per pixel.

    Args:
        image_channels: 3 reads images as RGB, 1 as gray.
        corrupt: "refuse" raises an error that names faulty files; "skip" warns and ignores them.

    Raises:
        ValueError: A file is faulty and corrupt is "refuse".
    """

    extensions = IMG_EXTENSIONS
    file_kind = "image"

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int = 64,
        image_channels: int = 3,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        flip: bool = False,
        workers: int = 2,
        root: str = "data/images",
        corrupt: str = "refuse",
    ):
        super().__init__()
        if image_channels not in (1, 3):
            raise ValueError(f"data.image_channels={image_channels}: it must be 1 or 3")
        if corrupt not in ("refuse", "skip"):
            raise ValueError(f"data.corrupt={corrupt}: it must be refuse or skip")
        self.image_channels = image_channels

    def open(self, split: str) -> ImageFiles:
        files = self.files(split)
        names, labels = [str(file) for file in files], self.labels_of(files)
        return ImageFiles(names, labels, self.image_size, self.image_channels)

    def usable_files(self) -> list[Path]:
        return self._sound_files

    @cached_property
    def _sound_files(self) -> list[Path]:
        faulty = find_faulty_images(self._files)
        if self.hparams.corrupt == "refuse":
            raise_if_faulty(faulty, len(self._files), "data.corrupt=skip leaves them out")
        if faulty:
            named = "\n".join(f"{file}: {why}" for file, why in faulty.items())
            rank_zero_warn(f"{len(faulty)} images are left out:\n{named}", category=UserWarning)
        return [file for file in self._files if file not in faulty]
