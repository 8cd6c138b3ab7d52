"""LSUN scenes (Yu et al. 2015)."""

from contextlib import contextmanager
from pathlib import Path

import torch

from datamodules.image import ImageDataModule
from datamodules.loading.sources import ImageFiles


class LSUN(ImageDataModule):
    """Scenes of one category, RGB, unlabelled, read from disk as needed; needs the package lmdb.

    Categories: bedroom (3033042 images), bridge, church_outdoor, classroom, conference_room,
    dining_room, kitchen, living_room, restaurant, tower. `val_count` training images are held out
    for validation; the test images are the 300 that LSUN calls its validation set. The centre
    square is resized. Not read through torchvision, which leaves a pickled list of keys in the
    working directory.
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

    def open(self, split):
        part = "train" if split == "train" else "val"
        folder = Path(self.hparams.root, f"{self.hparams.category}_{part}_lmdb")
        if not (folder / "data.mdb").exists():
            raise FileNotFoundError(
                f"LSUN is not in {folder.parent.absolute()}: {folder.name}/data.mdb must be there. "
                "Get it from github.com/fyu/lsun (there is no data.download for it), or point "
                "data.root and data.category at it."
            )
        return Scenes(str(folder), self.image_size)


class Scenes(ImageFiles):
    """The images of an LMDB folder, unlabelled; `names` are its keys."""

    def __init__(self, folder: str, size: int):
        self.folder = folder
        with transaction(folder) as images:
            keys = list(images.cursor().iternext(values=False))
        super().__init__(keys, torch.full((len(keys),), -1), size, channels=3)

    def read(self, position):
        with transaction(self.folder) as images:
            return images.get(bytes(self.names[position]))


@contextmanager
def transaction(folder):
    """Opens an LMDB folder for one reading: an open one would not survive a fork."""
    try:
        import lmdb
    except ImportError as error:
        raise ImportError("LSUN is kept in LMDB folders: pip install lmdb") from error
    options = {"readonly": True, "lock": False, "readahead": False}
    with lmdb.open(folder, **options) as database, database.begin() as reading:
        yield reading
