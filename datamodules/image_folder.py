"""Any folder of images."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from pytorch_lightning.utilities import rank_zero_warn
from torchvision.datasets.folder import IMG_EXTENSIONS

from datamodules.base import ImageDataModule
from datamodules.loader import shuffled
from datamodules.sources import Files


class ImageFolder(ImageDataModule):
    """A folder of your own images, flat or with one subfolder a class, read from disk as needed.

    Subfolders, in the order of their names, are the classes; images directly in `root` have no
    label (-1). Each image is read as RGB (image_channels=3) or grey (1), and its centre square is
    resized. `test_fraction` of the images, and then `val_count`, are cut off by split_seed.

    Before training each file is decoded once: corrupt="refuse" raises ValueError with the names of
    files that cannot be read, corrupt="skip" leaves them out and warns.
    """

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int = 64,
        image_channels: int = 3,
        val_count: int = 0,
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

    @property
    def classes(self):
        return len(self._subfolders)

    def open(self, split):
        files = self._sound_files
        order = shuffled(len(files), self.hparams.split_seed, "test")
        test_count = round(self.hparams.test_fraction * len(files))
        chosen = order[:test_count] if split == "test" else order[test_count:]
        names = [files[position] for position in chosen.sort().values.tolist()]
        labels = torch.tensor([self._label(name) for name in names], dtype=torch.int64)
        return Files([str(n) for n in names], labels, self.image_size, self.image_channels)

    def _label(self, file):
        folders = file.relative_to(self.hparams.root).parts[:-1]
        return self._subfolders[folders[0]] if folders else -1

    @cached_property
    def _files(self):
        """All image files, sorted."""
        root = Path(self.hparams.root)
        if not root.is_dir():
            raise FileNotFoundError(
                f"There is no folder {root.absolute()}: data.root=FOLDER says where the images are."
            )
        files = sorted(f for f in root.rglob("[!.]*") if f.suffix.lower() in IMG_EXTENSIONS)
        if not files:
            kinds = " ".join(IMG_EXTENSIONS)
            raise FileNotFoundError(f"There is no image ({kinds}) in {root.absolute()}.")
        return files

    @cached_property
    def _subfolders(self):
        """{name: label} of the subfolders that hold images."""
        root = Path(self.hparams.root)
        names = {f.relative_to(root).parts[0] for f in self._files if f.parent != root}
        return {name: label for label, name in enumerate(sorted(names))}

    @cached_property
    def _sound_files(self):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            faults = list(pool.map(fault, self._files))
        corrupt = [f"{file}: {why}" for file, why in zip(self._files, faults, strict=True) if why]
        if corrupt and self.hparams.corrupt == "refuse":
            named = "\n".join(corrupt[:5])
            raise ValueError(
                f"{len(corrupt)} of {len(faults)} images cannot be read; data.corrupt=skip leaves "
                f"them out. The first:\n{named}"
            )
        if corrupt:
            named = "\n".join(corrupt)
            rank_zero_warn(f"{len(corrupt)} images are left out:\n{named}", category=UserWarning)
        return [file for file, why in zip(self._files, faults, strict=True) if not why]


def fault(file: Path) -> str:
    """Why an image file cannot be decoded; empty if it can."""
    try:
        with Image.open(file) as image:
            image.draft("L", (1, 1))  # JPEG at an eighth of its size: all is read, less is computed
            image.load()
    except Exception as error:  # on broken bytes decoders raise almost anything
        return repr(error)
    return ""
