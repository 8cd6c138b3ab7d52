"""The handwritten digits of scikit-learn."""

import torch
from torch import Tensor

from datamodules.image import ImageDataModule
from zoo.engine.seeds import keyed_permutation


class Digits(ImageDataModule):
    """1797 handwritten digits, 8x8 gray, 10 classes: 1300 train, 137 val, 360 test.

    They are part of scikit-learn, so nothing is downloaded. There is no official split. A fixed
    permutation gives 1437 images for training and validation, and 360 test images. Gray levels x
    from 0 to 16 become round(x * 255 / 16).
    """

    image_channels = 1
    classes = 10
    extractor = "digits"

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int = 8,
        val_count: int = 137,
        split_seed: int = 0,
        labels: int = 0,
        label_seed: int = 0,
        binarize: bool = False,
    ):
        super().__init__()

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        from sklearn.datasets import load_digits  # slow to import; samples do not need it

        digits = load_digits()
        images = torch.from_numpy(digits.images * 255 / 16).round().to(torch.uint8)
        order = keyed_permutation(len(images), "digits")
        chosen = order[:1437] if split == "train" else order[1437:]
        return images[chosen, None], torch.from_numpy(digits.target).long()[chosen]
