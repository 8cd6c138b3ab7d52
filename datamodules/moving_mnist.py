"""Videos of MNIST digits, after Moving MNIST (Srivastava, Mansimov, Salakhutdinov 2015)."""

from torch import Tensor

from datamodules.mnist import MNIST
from datamodules.moving_digits import MovingDigits


class MovingMNIST(MovingDigits):
    """The clips of data=moving_digits with MNIST's digits.

    The original Moving MNIST has black backgrounds (`textured=false`), transparent digits and
    non-integer speeds.

    Args:
        root: Folder of MNIST.
        download: Download MNIST if it is missing.
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

    def prepare_data(self) -> None:
        self.mnist.prepare_data()

    def digits(self, split: str) -> Tensor:
        return self.mnist.load(split)[0]

    @property
    def mnist(self) -> MNIST:
        """The data module of the digits."""
        return MNIST(root=self.hparams.root, download=self.hparams.download)
