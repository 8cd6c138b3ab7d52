"""MNIST's digits that move: Moving MNIST (Srivastava, Mansimov, Salakhutdinov 2015) and harder."""

from datamodules.mnist import MNIST
from datamodules.moving_digits import MovingDigits


class MovingMNIST(MovingDigits):
    """MovingDigits of MNIST's digits, training and test ones apart.

    Moving MNIST itself has black backgrounds (`textured=false`), digits that shine through each
    other, and speeds that are no whole numbers.
    """

    def __init__(
        self,
        batch_size: int = 16,
        image_size: int = 64,
        frames: int = 6,
        objects: int = 2,
        speed: int = 4,
        textured: bool = True,
        count: int = 100000,
        val_count: int = 300,
        split_seed: int = 0,
        workers: int = 0,
        root: str = "data",
        download: bool = False,
    ):
        super().__init__()

    def prepare_data(self):
        self.mnist.prepare_data()

    def digits(self, split):
        return self.mnist.load(split)[0]

    @property
    def mnist(self):
        return MNIST(root=self.hparams.root, download=self.hparams.download)
