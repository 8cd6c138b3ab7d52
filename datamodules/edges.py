"""Edges of images, from which the images are to be made."""

from functools import partial
from typing import Annotated

import numpy as np
import torch
from skimage.feature import canny
from torch import Tensor

from datamodules.paired import DerivedDataModule


class Edges(DerivedDataModule):
    """Images of any other data, and their edges, black lines on white, by Canny's detector.

    of: the name of those data; image_size, val_count, root and download are theirs, None
    being their default.
    sigma: width in pixels of the blur before the edges are looked for: the larger, the fewer.

    Isola et al. 2017 (arXiv 1611.07004) take edges of a network (HED) and thin them.
    """

    source_channels = 1

    def __init__(
        self,
        batch_size: int = 16,
        of: str = "photos",
        sigma: Annotated[float, "[0, 1000]"] = 1.0,
        image_size: int | None = None,
        val_count: int | None = None,
        split_seed: int = 0,
        flip: bool = False,
        workers: int = 0,
        root: str | None = None,
        download: bool | None = None,
    ):
        super().__init__()

    def make_source(self):
        return partial(edges_of, sigma=self.hparams.sigma)


def edges_of(images: Tensor, sigma: float) -> Tensor:
    """uint8 (N, 1, H, W), 0 on the edges of uint8 images (N, C, H, W) in grey, 255 elsewhere."""
    grey = images.float().mean(dim=1).numpy() / 255
    found = np.stack([canny(image, sigma=sigma) for image in grey])
    return torch.where(torch.from_numpy(found), 0, 255).to(torch.uint8)[:, None]
