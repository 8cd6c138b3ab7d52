"""Fashion-MNIST (Xiao et al. 2017), a drop-in replacement for MNIST."""

from torchvision import datasets

from datamodules.mnist import MNIST


class FashionMNIST(MNIST):
    """70000 pieces of clothing, 28x28 gray, 10 classes: 50000 train, 10000 val, 10000 test."""

    layout = MNIST.layout.replace("MNIST/", "FashionMNIST/")
    torchvision_class = datasets.FashionMNIST
    class_names = tuple(datasets.FashionMNIST.classes)
    extractor = "inception"
