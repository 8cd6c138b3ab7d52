"""Label maps, and composites of real textures by them."""

import torch
from skimage import data as photographs
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from datamodules.loading.sources import TensorSource
from datamodules.paired import PairedDataModule
from zoo.engine.seeds import keyed_generator

TEXTURES = ("brick", "grass", "gravel")
FOR_TRAINING = 0.6  # of the width of each photograph, from the left; the rest is for testing
TEST_COUNT = 200
RECTANGLES = 4  # on a ground, each of a random texture


class Textures(PairedDataModule):
    """Maps of three colours, and grey images that have brick, grass or gravel at each of them.

    A map is of random rectangles; a texture is cut anew for each image from one photograph of it,
    which comes with scikit-image, so that a map does not say what exactly is where. Training images
    are of the left 60 % of the photographs, test images of the rest: they share no pixel.
    `classes_of` tells the map of a source; there are 200 images to test on.

    count: images to train on, `val_count` of them held out, of the same part of the photographs.
    shrink: by how much the photographs are reduced. Everything depends on split_seed.
    """

    image_channels = 1
    source_channels = len(TEXTURES)
    regions = TEXTURES

    def __init__(
        self,
        batch_size: int = 16,
        image_size: int = 32,
        count: int = 2000,
        val_count: int = 200,
        split_seed: int = 0,
        shrink: int = 3,
    ):
        super().__init__()
        if image_size > min(photograph("test", TEXTURES[0], shrink).shape):
            raise ValueError(
                f"data.image_size={image_size}: more than photographs have at data.shrink={shrink}"
            )

    def open(self, split):
        hp = self.hparams
        count = hp.count if split == "train" else TEST_COUNT
        generator = keyed_generator(hp.split_seed, "textures", split)
        maps = label_maps(count, hp.image_size, generator)
        images = torch.zeros_like(maps, dtype=torch.uint8)
        for label, name in enumerate(TEXTURES):
            pixels = photograph(split, name, hp.shrink)
            cut = crops(pixels, count, hp.image_size, generator)
            images = torch.where(maps == label, cut, images)
        return TensorSource(image=images[:, None], source=colours(maps))

    @staticmethod
    def classes_of(sources: Tensor) -> Tensor:
        """Labels (N, H, W), places in TEXTURES, of sources (N, 3, H, W) of any scale."""
        return sources.argmax(dim=1)


def photograph(split: str, name: str, shrink: int) -> Tensor:
    """Grey levels uint8 (H, W) of the part of a texture's photograph that a split may see."""
    pixels = torch.from_numpy(getattr(photographs, name)())
    middle = round(FOR_TRAINING * pixels.shape[1])
    part = pixels[:, :middle] if split == "train" else pixels[:, middle:]
    return transforms.resize(part[None], [side // shrink for side in part.shape])[0]


def label_maps(count: int, size: int, generator: torch.Generator) -> Tensor:
    """int64 (count, size, size): a ground, and rectangles of a quarter to three quarters a side."""
    maps = torch.randint(len(TEXTURES), (count, 1, 1), generator=generator).repeat(1, size, size)
    axis = torch.arange(size)
    for _ in range(RECTANGLES):
        label = torch.randint(len(TEXTURES), (count, 1, 1), generator=generator)
        inside = torch.ones_like(maps, dtype=torch.bool)
        for line in (axis[:, None], axis[None, :]):
            side = torch.randint(size // 4, 3 * size // 4 + 1, (count, 1, 1), generator=generator)
            start = (torch.rand(count, 1, 1, generator=generator) * (size - side + 1)).long()
            inside &= (start <= line) & (line < start + side)
        maps = torch.where(inside, label, maps)
    return maps


def crops(pixels: Tensor, count: int, size: int, generator: torch.Generator) -> Tensor:
    """(count, size, size), cut from (H, W) at random places."""
    places = pixels.unfold(0, size, 1).unfold(1, size, 1)  # (H', W', size, size)
    rows, columns = (torch.randint(n, (count,), generator=generator) for n in places.shape[:2])
    return places[rows, columns]


def colours(maps: Tensor) -> Tensor:
    """uint8 (N, 3, H, W): red, green and blue for the labels (N, H, W)."""
    return torch.stack([(maps == label) * 255 for label in range(3)], dim=1).to(torch.uint8)
