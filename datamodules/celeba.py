"""CelebA, aligned and cropped (Liu et al. 2015)."""

from pathlib import Path

import torch
from torchvision import datasets

from datamodules.loading.sources import ImageFiles
from datamodules.torchvision_data import TorchvisionDataModule


class CelebA(TorchvisionDataModule):
    """202599 RGB faces without labels: 162770 train, 19867 val, 19962 test; read from disk.

    Images are cropped from 178x218 to the central 178x178 pixels and resized. The splits are
    the official ones. Downloading needs the package gdown.
    """

    has_val_split = True
    layout = "celeba/img_align_celeba/*.jpg and celeba/{list_*,identity_CelebA}.txt"

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int = 64,
        flip: bool = True,
        workers: int = 2,
        root: str = "data",
        download: bool = False,
    ):
        super().__init__()

    def dataset(self, split: str, download: bool) -> datasets.CelebA:
        split = {"val": "valid"}.get(split, split)  # torchvision's name
        return datasets.CelebA(self.hparams.root, split=split, download=download)

    def open(self, split: str) -> ImageFiles:
        folder = Path(self.hparams.root, "celeba", "img_align_celeba")
        names = [str(folder / name) for name in self.open_dataset(split).filename]
        return ImageFiles(names, torch.full((len(names),), -1), self.image_size, channels=3)
