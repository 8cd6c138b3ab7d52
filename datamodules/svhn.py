"""Street View House Numbers (Netzer et al. 2011)."""

import torch
from torch import Tensor
from torchvision import datasets

from datamodules.torchvision_data import TorchvisionDataModule


class SVHN(TorchvisionDataModule):
    """99289 house-number digits, 32x32 RGB, 10 classes: 73257 train, 26032 test."""

    classes = 10
    layout = "{train,test}_32x32.mat"

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int = 32,
        val_count: int = 5000,
        split_seed: int = 0,
        labels: int = 0,
        label_seed: int = 0,
        root: str = "data",
        download: bool = False,
    ):
        super().__init__()

    def dataset(self, split: str, download: bool) -> datasets.SVHN:
        return datasets.SVHN(self.hparams.root, split=split, download=download)

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        dataset = self.open_dataset(split)
        return torch.from_numpy(dataset.data).contiguous(), torch.from_numpy(dataset.labels)
