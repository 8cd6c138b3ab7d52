"""Sources, from which a loader gathers batches: tensors in memory, and images in files."""

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms.v2 import functional as transforms

from datamodules.loading.decoding import (
    decode_image,
    find_faulty_images,
    raise_if_faulty,
    read_upright_header,
)
from datamodules.loading.files import find_files, find_split_folders


class Source(Protocol):
    """Samples by position.

    `source[positions]`, for positions (N,) int64, is a dict of tensors (N, ...). Image sources have
    `image`, uint8 (N, C, H, W), and `label`, int64 (N,).
    """

    def __len__(self) -> int: ...

    def __getitem__(self, positions: Tensor) -> dict[str, Tensor]: ...


def resize_images(images: Tensor, size: int) -> Tensor:
    """Resize uint8 images (..., C, H, W) to (size, size), antialiased and rounded."""
    if images.shape[-2:] == (size, size):
        return images
    # In pieces, because resizing may use float32, which takes four times the memory.
    pieces = [transforms.resize(piece, [size, size]) for piece in images.split(4096)]
    return torch.cat(pieces)


class InMemoryImages:
    """Images and labels in memory.

    Args:
        images: uint8 (N, C, H, W).
        labels: int64 (N,), -1 for unlabeled images.
    """

    def __init__(self, images: Tensor, labels: Tensor):
        self.images = images
        self.labels = labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, positions: Tensor):
        return {"image": self.images[positions], "label": self.labels[positions]}


class TensorSource:
    """Tensors in memory.

    Args:
        **tensors: {key: (N, ...)}.
    """

    def __init__(self, **tensors: Tensor):
        self.tensors = tensors

    def __len__(self):
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, positions: Tensor):
        return {key: tensor[positions] for key, tensor in self.tensors.items()}


class ImageFiles:
    """Images that are read from files on access: upright, center square, resized.

    Args:
        names: Paths, or what the `read` of a subclass takes.
        labels: int64 (N,), -1 for unlabeled images.
        size: Height and width of the result; None neither crops nor resizes.
        channels: 1 for gray, 3 for RGB.
    """

    def __init__(self, names: list[str], labels: Tensor, size: int | None, channels: int):
        self.names = np.array(names)  # an array, because each worker would end up copying a list
        self.labels = labels
        self.size = size
        self.mode = {1: "L", 3: "RGB"}[channels]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, positions: Tensor):
        files = (self.read(position) for position in positions.tolist())
        images = [self._fit(decode_image(file, self.mode)) for file in files]
        return {"image": torch.stack(images), "label": self.labels[positions]}

    def read(self, position: int) -> bytes:
        """Return the content of an image's file."""
        return Path(self.names[position]).read_bytes()

    def _fit(self, image: Tensor) -> Tensor:
        if self.size is None:
            return image
        side = min(image.shape[-2:])
        if max(image.shape[-2:]) > side:
            image = transforms.center_crop(image, [side, side])
        return resize_images(image[None], self.size)[0]


def load_stored_images(path: str | Path) -> InMemoryImages | ImageFiles:
    """Open the images of a folder and its subfolders, or of an .npz file, unlabeled and unresized.

    Args:
        path: A folder, or an .npz file with one array, or one called `images` or `samples`: uint8
            (N, H, W, C), (N, C, H, W) or (N, H, W).

    Raises:
        FileNotFoundError: There are no images.
        ValueError: Images differ in size, cannot be read, or are not uint8.
    """
    path = Path(path)
    if path.is_file():
        images = _read_npz(path)
        return InMemoryImages(images, torch.full((len(images),), -1))
    if path.suffix and not path.exists():
        raise FileNotFoundError(f"There is no file {path.absolute()}.")
    files = find_files(path, IMG_EXTENSIONS, "image")
    splits = find_split_folders(files, path)
    if len(splits) > 1:
        raise ValueError(f"{path} contains the splits {', '.join(splits)}: name the folder of one")
    raise_if_faulty(find_faulty_images(files), len(files), "remove them")
    headers = [read_upright_header(file) for file in files]
    other = next((n for n, (size, _) in enumerate(headers) if size != headers[0][0]), None)
    if other is not None:
        (first, _), (second, _) = headers[0], headers[other]
        raise ValueError(
            f"{path} contains images of several sizes, {files[0].name} {first} and "
            f"{files[other].name} {second}: resize them to one size first."
        )
    channels = 1 if all(mode == "L" for _, mode in headers) else 3
    return ImageFiles([str(f) for f in files], torch.full((len(files),), -1), None, channels)


def _read_npz(path: Path) -> Tensor:
    """Read uint8 (N, C, H, W)."""
    try:
        arrays = dict(np.load(path, allow_pickle=False).items())
    except Exception as error:  # other files fail in many ways
        raise ValueError(
            f"{path} is neither a folder nor an .npz file of arrays: {error}"
        ) from error
    name = next((n for n in ("images", "samples") if n in arrays), next(iter(arrays), None))
    if len(arrays) != 1 and name not in ("images", "samples"):
        held = ", ".join(arrays) or "nothing"
        raise ValueError(f"{path} contains {held}: it must contain one array, or `images`")
    images = arrays[name]
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ValueError(
            f"{name} in {path} is {images.dtype} {images.shape}: it must be uint8 (N, H, W, C), "
            "0 to 255"
        )
    if not len(images):
        raise ValueError(f"{path} contains no images.")
    images = torch.from_numpy(images)
    if images.dim() == 3:
        return images[:, None]
    if images.shape[1] not in (1, 3) and images.shape[-1] in (1, 3):
        images = images.permute(0, 3, 1, 2)
    if images.shape[1] not in (1, 3):
        raise ValueError(f"{name} in {path} has {images.shape[1]} channels: it must have 1 or 3")
    return images
