"""Edges to images: images and their edges."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import numpy as np
import torch
from skimage.feature import canny
from torch import Tensor

from datamodules.paired import DerivedDataModule


class Edges(DerivedDataModule):
    """Images of another dataset, with their Canny edges as the source, black on white.

    Isola et al. 2017 (arXiv 1611.07004) use thinned edges of a network (HED) instead.

    Args:
        sigma: Standard deviation in pixels of the blur before edge detection; larger values give
            fewer edges.
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
        subset: str | None = None,
        font: str | None = None,
    ):
        super().__init__()

    def make_source(self) -> Callable[[Tensor], Tensor]:
        return partial(edges_of, sigma=self.hparams.sigma)


def edges_of(images: Tensor, sigma: float) -> Tensor:
    """Detect edges with Canny's method.

    Args:
        images: uint8 (N, C, H, W); channels are averaged.
        sigma: Standard deviation of the blur in pixels.

    Returns:
        uint8 (N, 1, H, W), 0 on edges and 255 elsewhere.
    """
    grey = images.float().mean(dim=1).numpy() / 255
    found = np.stack([canny(image, sigma=sigma) for image in grey])
    return torch.where(torch.from_numpy(found), 0, 255).to(torch.uint8)[:, None]
