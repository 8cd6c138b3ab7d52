"""Grey crops of photographs that come with scikit-learn and scikit-image."""

import torch
from skimage import data as photographs
from sklearn.datasets import load_sample_images
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from datamodules.image import ImageDataModule

NAMES = ("china", "flower", "astronaut", "coffee", "chelsea")
FOR_TRAINING = 0.7  # of the width of each photograph, from the left; the rest is for testing


class Photos(ImageDataModule):
    """Crops of five photographs, and of which: a temple, a flower, a face, a cup, a cat.

    Training images are cut at every `stride`-th pixel of the left 70 % of each photograph, test
    images at every quarter of their side of the rest: these share no pixel with the others. The
    `val_count` training images that are held out do overlap with others.

    turned: training images are cut from the photographs in all four quarter turns. shrink: by how
    much the photographs are reduced first; as they are, most crops are smooth.
    """

    image_channels = 1
    classes = len(NAMES)
    class_names = NAMES
    extractor = None

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int = 32,
        val_count: int = 500,
        split_seed: int = 0,
        stride: int = 2,
        shrink: int = 3,
        turned: bool = False,
        flip: bool = True,
    ):
        super().__init__()
        least = min(min(part.shape) for part in parts("test", shrink))
        if image_size > least:
            raise ValueError(f"data.image_size={image_size}: photographs have {least}.")

    def load(self, split):
        hp = self.hparams
        stride = hp.stride if split == "train" else hp.image_size // 4
        turns = range(4 if hp.turned and split == "train" else 1)
        cut = [
            torch.cat([crops(pixels.rot90(turn), hp.image_size, stride) for turn in turns])
            for pixels in parts(split, hp.shrink)
        ]
        labels = [torch.full((len(images),), label) for label, images in enumerate(cut)]
        return torch.cat(cut)[:, None], torch.cat(labels)


def parts(split: str, shrink: int) -> list[Tensor]:
    """Grey levels uint8 (H, W) of the part of each photograph that a split may see."""
    images = [*load_sample_images().images]
    images += [getattr(photographs, name)() for name in NAMES[2:]]
    found = []
    for image in images:
        pixels = transforms.rgb_to_grayscale(torch.tensor(image).permute(2, 0, 1))
        middle = round(FOR_TRAINING * pixels.shape[2])
        part = pixels[:, :, :middle] if split == "train" else pixels[:, :, middle:]
        found.append(transforms.resize(part, [side // shrink for side in part.shape[1:]])[0])
    return found


def crops(pixels: Tensor, size: int, stride: int) -> Tensor:
    """(N, size, size), cut from (H, W) at every stride-th place."""
    return pixels.unfold(0, size, stride).unfold(1, size, stride).flatten(0, 1).contiguous()
