"""Gray crops of the photographs of scikit-learn and scikit-image."""

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from datamodules.image import ImageDataModule

NAMES = ("china", "flower", "astronaut", "coffee", "chelsea")
FOR_TRAINING = 0.7  # left part of each photograph's width; the rest is for testing


class Photos(ImageDataModule):
    """Gray crops of five photographs, labeled by photograph: temple, flower, face, cup, cat.

    Training crops are from the left 70 % of each photograph. Test crops are from the rest, spaced
    by a quarter of their size, and share no pixels with training crops. Validation crops overlap
    with training crops.

    Args:
        stride: Step between training crops, in pixels.
        shrink: Factor by which photographs are downsampled before cropping; at full size most crops
            are smooth.
        turned: Also use training crops of the photographs rotated by 90, 180 and 270 degrees.
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
        least = min(min(part.shape) for part in photo_parts("test", shrink))
        if image_size > least:
            raise ValueError(
                f"data.image_size={image_size} must be at most {least}, the photographs' size."
            )

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        hp = self.hparams
        stride = hp.stride if split == "train" else hp.image_size // 4
        turns = range(4 if hp.turned and split == "train" else 1)
        cut = [
            torch.cat([crops(pixels.rot90(turn), hp.image_size, stride) for turn in turns])
            for pixels in photo_parts(split, hp.shrink)
        ]
        labels = [torch.full((len(images),), label) for label, images in enumerate(cut)]
        return torch.cat(cut)[:, None], torch.cat(labels)


def photo_parts(split: str, shrink: int) -> list[Tensor]:
    """Read the part of each photograph that belongs to a split, uint8 (H, W).

    Args:
        split: "train" or "test".
        shrink: Factor by which the photographs are downsampled.
    """
    from skimage import data as photographs  # slow to import; samples do not need it
    from sklearn.datasets import load_sample_images

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
    """Cut crops (N, size, size) from pixels (H, W) at every `stride`-th position."""
    return pixels.unfold(0, size, stride).unfold(1, size, stride).flatten(0, 1).contiguous()
