"""CIFAR-10 (Krizhevsky 2009)."""

import torch
from torchvision import datasets

from datamodules.torchvision_data import TorchvisionDataModule


class CIFAR10(TorchvisionDataModule):
    """60000 photographs, 32x32 RGB, 10 classes: 50000 train, 10000 test.

    flip: training images at random; none of the papers that the recipes follow does.
    val_count: of the training images, those held out for validation.
    """

    classes = 10
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse")
    class_names += ("ship", "truck")
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

    def dataset(self, split, download):
        return datasets.CIFAR10(self.hparams.root, train=split == "train", download=download)

    def load(self, split):
        found = self.found(split)
        images = torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous()
        return images, torch.tensor(found.targets)
