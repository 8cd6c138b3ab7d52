"""CIFAR-10 (Krizhevsky 2009)."""

import torch
from torch import Tensor
from torchvision import datasets

from datamodules.torchvision_data import TorchvisionDataModule


class CIFAR10(TorchvisionDataModule):
    """60000 photographs, 32x32 RGB, 10 classes: 50000 train, 10000 test.

    Args:
        flip: Mirror training images with probability 1/2. The papers of the recipes do not use
            this.
    """

    classes = 10
    class_names = (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )
    layout = "cifar-10-batches-py/{data_batch_1..5,test_batch,batches.meta}"

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int = 32,
        val_count: int = 5000,
        split_seed: int = 0,
        labels: int = 0,
        label_seed: int = 0,
        flip: bool = False,
        root: str = "data",
        download: bool = False,
    ):
        super().__init__()

    def dataset(self, split: str, download: bool) -> datasets.CIFAR10:
        return datasets.CIFAR10(self.hparams.root, train=split == "train", download=download)

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        dataset = self.open_dataset(split)
        images = torch.from_numpy(dataset.data).permute(0, 3, 1, 2).contiguous()
        return images, torch.tensor(dataset.targets)
