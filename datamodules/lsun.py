"""LSUN scenes (Yu et al. 2015)."""

import os
from pathlib import Path
from typing import Any

import torch

from datamodules.image import ImageDataModule
from datamodules.loading.sources import ImageFiles


class LSUN(ImageDataModule):
    """RGB scenes of one category without labels, read from disk as needed; needs the package lmdb.

    The test set is LSUN's validation set of 300 images. The center square of each image is resized.
    torchvision is not used, because it writes a pickled list of keys into the working directory.

    Args:
        root: Folder that contains CATEGORY_train_lmdb and CATEGORY_val_lmdb.
        category: bedroom (3033042 images), bridge, church_outdoor, classroom, conference_room,
            dining_room, kitchen, living_room, restaurant or tower.
    """

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int = 64,
        val_count: int = 1000,
        split_seed: int = 0,
        flip: bool = True,
        workers: int = 2,
        root: str = "data",
        category: str = "bedroom",
    ):
        super().__init__()

    def open(self, split: str) -> "LMDBImages":
        part = "train" if split == "train" else "val"
        folder = Path(self.hparams.root, f"{self.hparams.category}_{part}_lmdb")
        if not (folder / "data.mdb").exists():
            raise FileNotFoundError(
                f"LSUN is missing in {folder.parent.absolute()}: it needs {folder.name}/data.mdb. "
                "Download it from github.com/fyu/lsun (data.download does not), or set data.root "
                "and data.category."
            )
        return LMDBImages(folder, self.image_size)


class LMDBImages(ImageFiles):
    """The images of an LMDB folder, unlabeled.

    Args:
        folder: The folder; its keys become the `names`.
        size: Height and width of the result.
    """

    def __init__(self, folder: Path, size: int):
        self.folder = folder
        with open_database(folder).begin() as images:
            keys = list(images.cursor().iternext(values=False))
        super().__init__(keys, torch.full((len(keys),), -1), size, channels=3)

    def read(self, position: int) -> bytes:
        with open_database(self.folder).begin() as images:
            return images.get(bytes(self.names[position]))


OPEN: dict[str, Any] = {}  # the open databases of this process, by folder


def open_database(folder: Path) -> Any:
    """Return the database of an LMDB folder; it stays open, because opening is slower than reading.

    All sources of a process share it, because lmdb opens a folder only once in a process.
    """
    try:
        import lmdb
    except ImportError as error:
        raise ImportError("data=lsun needs lmdb: python -m pip install lmdb") from error
    path = str(folder.resolve())
    if path not in OPEN:
        OPEN[path] = lmdb.open(path, readonly=True, lock=False, readahead=False)
    return OPEN[path]


def close_databases() -> None:
    """Close the open databases; the next reading opens them again."""
    while OPEN:
        OPEN.popitem()[1].close()


# A child must not use a database that its parent opened, nor can it open the folder again.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=close_databases)
