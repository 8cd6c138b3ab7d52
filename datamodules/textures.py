"""Label maps, and images that are composed of real textures by label maps."""

import torch
from skimage import data as photographs
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from datamodules.loading.sources import TensorSource
from datamodules.paired import PairedDataModule
from zoo.engine.seeds import keyed_generator

TEXTURES = ("brick", "grass", "gravel")
FOR_TRAINING = 0.6  # left part of each photograph's width; the rest is for testing
TEST_COUNT = 200
RECTANGLES = 4  # per map, each of a random texture


class Textures(PairedDataModule):
    """Label maps in three colors as sources, and gray images of brick, grass and gravel.

    A map consists of random rectangles. Each image has random crops of one scikit-image photograph
    per texture, so a map does not determine the pixels. Training images use the left 60 % of the
    photographs and test images the rest, so they share no pixels. There are 200 test images.

    Args:
        count: Number of training images, including `val_count` validation images.
        shrink: Factor by which the photographs are downsampled.
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
                f"data.image_size={image_size} is larger than the photographs at "
                f"data.shrink={shrink}: reduce one of them"
            )

    def open(self, split: str) -> TensorSource:
        hp = self.hparams
        count = hp.count if split == "train" else TEST_COUNT
        generator = keyed_generator(hp.split_seed, "textures", split)
        maps = label_maps(count, hp.image_size, generator)
        images = torch.zeros_like(maps, dtype=torch.uint8)
        for label, name in enumerate(TEXTURES):
            pixels = photograph(split, name, hp.shrink)
            cut = crops(pixels, count, hp.image_size, generator)
            images = torch.where(maps == label, cut, images)
        return TensorSource(image=images[:, None], source=colors(maps))

    @staticmethod
    def classes_of(sources: Tensor) -> Tensor:
        """Return the labels (N, H, W) of sources (N, 3, H, W) of any scale."""
        return sources.argmax(dim=1)


def photograph(split: str, name: str, shrink: int) -> Tensor:
    """Read the part of a texture's photograph that belongs to a split, uint8 (H, W).

    Args:
        split: "train" or "test".
        name: Of TEXTURES.
        shrink: Factor by which the photograph is reduced.
    """
    pixels = torch.from_numpy(getattr(photographs, name)())
    middle = round(FOR_TRAINING * pixels.shape[1])
    part = pixels[:, :middle] if split == "train" else pixels[:, middle:]
    return transforms.resize(part[None], [side // shrink for side in part.shape])[0]


def label_maps(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Draw label maps: a background, and rectangles with sides of 1/4 to 3/4 of the image.

    Returns:
        int64 (count, size, size), indices in TEXTURES.
    """
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
    """Cut `count` crops (count, size, size) from pixels (H, W) at random positions."""
    places = pixels.unfold(0, size, 1).unfold(1, size, 1)  # (H', W', size, size)
    rows, columns = (torch.randint(n, (count,), generator=generator) for n in places.shape[:2])
    return places[rows, columns]


def colors(maps: Tensor) -> Tensor:
    """Color labels (N, H, W) red, green and blue, uint8 (N, 3, H, W)."""
    return torch.stack([(maps == label) * 255 for label in range(3)], dim=1).to(torch.uint8)
