"""Colorization: color images and their luminance."""

from collections.abc import Callable

from torch import Tensor
from torchvision.transforms.v2.functional import rgb_to_grayscale

from datamodules.paired import DerivedDataModule


class Colorize(DerivedDataModule):
    """Color images of another dataset, with their luminance as the source.

    Isola et al. 2017 (arXiv 1611.07004) predict the channels a and b of the Lab color space from
    L. Here a model predicts red, green and blue.
    """

    source_channels = 1

    def __init__(
        self,
        batch_size: int = 16,
        of: str = "shapes",
        image_size: int | None = None,
        val_count: int | None = None,
        split_seed: int = 0,
        flip: bool = False,
        workers: int = 0,
        root: str | None = None,
        download: bool | None = None,
        subset: str | None = None,
        font: str | None = None,
    ):
        super().__init__()
        if self.image_channels != 3:
            raise ValueError(f"data.of={of} has {self.image_channels} channel(s): colorize needs 3")

    def make_source(self) -> Callable[[Tensor], Tensor]:
        return rgb_to_grayscale
