"""What a loader gathers from: images held in memory, images read from files, parts of these.

A source has a length and gives, for a LongTensor (N,) of positions, a dict of `image`, uint8
(N, C, H, W), and `label`, int64 (N,).
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms


def resized(images: Tensor, size: int) -> Tensor:
    """uint8 images (..., C, H, W) at (size, size), antialiased and rounded."""
    if images.shape[-2:] == (size, size):
        return images
    # In pieces, because resizing may go through float32: four times the memory.
    pieces = [transforms.resize(piece, [size, size]) for piece in images.split(4096)]
    return torch.cat(pieces)


class Stored:
    """Images uint8 (N, C, H, W) and labels int64 (N,) in memory."""

    def __init__(self, images: Tensor, labels: Tensor):
        self.images = images
        self.labels = labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, positions):
        return {"image": self.images[positions], "label": self.labels[positions]}


class Files:
    """Images read when they are asked for: centre square, resized to (size, size).

    `names` are paths; a subclass that overrides `open` may mean something else by them.
    """

    def __init__(self, names: list[str], labels: Tensor, size: int, channels: int):
        self.names = np.array(names)  # one block: of a list, each worker would come to hold a copy
        self.labels = labels
        self.size = size
        self.mode = {1: "L", 3: "RGB"}[channels]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, positions):
        images = [self._square(self.open(position)) for position in positions.tolist()]
        return {"image": torch.stack(images), "label": self.labels[positions]}

    def open(self, position: int) -> Image.Image:
        return Image.open(self.names[position])

    def _square(self, image):
        with image:
            pixels = transforms.pil_to_tensor(image.convert(self.mode))
        side = min(pixels.shape[-2:])
        return resized(transforms.center_crop(pixels, [side, side])[None], self.size)[0]


class Part:
    """The samples of a source at chosen positions; adds `index`, their place in this part."""

    def __init__(self, source, chosen: Tensor):
        self.source = source
        self.chosen = chosen

    def __len__(self):
        return len(self.chosen)

    def __getitem__(self, positions):
        return self.source[self.chosen[positions]] | {"index": positions}
