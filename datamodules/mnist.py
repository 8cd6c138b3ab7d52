"""MNIST (LeCun et al. 1998)."""

from torchvision import datasets

from datamodules.torchvision_data import TorchvisionDataModule


class MNIST(TorchvisionDataModule):
    """70000 handwritten digits, 28x28 grey, 10 classes: 50000 train, 10000 val, 10000 test."""

    image_channels = 1
    classes = 10
    extractor = "digits"
    layout = "MNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte"
    torchvision_class = datasets.MNIST

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int = 28,
        val_count: int = 10000,
        split_seed: int = 0,
        labels: int = 0,
        label_seed: int = 0,
        binarize: bool = False,
        root: str = "data",
        download: bool = False,
    ):
        super().__init__()

    def dataset(self, split, download):
        train = split == "train"
        return self.torchvision_class(self.hparams.root, train=train, download=download)

    def load(self, split):
        found = self.found(split)
        return found.data[:, None], found.targets
