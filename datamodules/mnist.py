"""MNIST (LeCun et al. 1998)."""

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import torch
from torch import Tensor
from torchvision import datasets

from datamodules.torchvision_data import TorchvisionDataModule

PARTS = {"train": "train", "test": "t10k"}
KINDS = ("images-idx3-ubyte", "images.idx3-ubyte"), ("labels-idx1-ubyte", "labels.idx1-ubyte")


class MNIST(TorchvisionDataModule):
    """70000 handwritten digits, 28x28 gray, 10 classes: 50000 train, 10000 val, 10000 test.

    The four original files, compressed (.gz) or not, are read from `root` or from root/MNIST/raw,
    where torchvision puts them. Nothing is written unless they are downloaded.
    """

    image_channels = 1
    classes = 10
    extractor = "mnist"
    layout = "{train,t10k}-{images-idx3,labels-idx1}-ubyte, with or without .gz, or MNIST/raw/..."
    torchvision_class: type[datasets.MNIST] = datasets.MNIST

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int = 28,
        val_count: int = 10000,
        split_seed: int = 0,
        labels: int = 0,
        label_seed: int = 0,
        binarize: bool = False,
        root: str = "data",
        download: bool = False,
    ):
        super().__init__()

    def dataset(self, split: str, download: bool) -> datasets.MNIST:
        train = split == "train"
        return self.torchvision_class(self.hparams.root, train=train, download=download)

    def prepare_data(self) -> None:
        if None in [file for split in PARTS for file in self.locate(split)]:
            super().prepare_data()

    def locate(self, split: str) -> list[Path | None]:
        """Return the files of a split's images and labels; None for a missing file."""
        root, name = Path(self.hparams.root), self.torchvision_class.__name__
        folders = root / name / "raw", root / name, root
        found = []
        for names in KINDS:
            files = [f"{PARTS[split]}-{kind}{ending}" for kind in names for ending in ("", ".gz")]
            paths = [folder / file for folder in folders for file in files]
            found.append(next((path for path in paths if path.is_file()), None))
        return found

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        files = [file for file in self.locate(split) if file]
        if len(files) < len(KINDS):
            raise self.missing_error()
        images, labels = (self._read(file, dims) for file, dims in zip(files, (3, 1), strict=True))
        if len(images) != len(labels):
            raise ValueError(
                f"{files[0]} has {len(images)} images, but {files[1]} has {len(labels)} labels: "
                "the files do not belong together"
            )
        return images[:, None], labels.long()

    def _read(self, file: Path, dims: int) -> Tensor:
        content = file.read_bytes()
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        for other in (datasets.MNIST, datasets.FashionMNIST, datasets.KMNIST):
            if other is not self.torchvision_class and digest in dict(other.resources).values():
                raise ValueError(f"{file} is a file of {other.__name__}, not {type(self).__name__}")
        try:
            return parse_idx(gzip.decompress(content) if file.suffix == ".gz" else content, dims)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise ValueError(f"{file} is damaged: {error}; download it again") from error


def parse_idx(content: bytes, dims: int) -> Tensor:
    """Read the content of an idx file of bytes.

    Args:
        content: A header of big-endian int32, 0x800 + dims and the shape, and the values.
        dims: The expected number of dimensions.

    Returns:
        uint8 of the shape in the header.

    Raises:
        ValueError: The header is different, or the number of values is wrong.
    """
    header, *shape = (
        int.from_bytes(content[at : at + 4], "big") for at in range(0, 4 * dims + 4, 4)
    )
    if header != 0x800 + dims:
        raise ValueError(f"it is not an idx file of bytes with {dims} dimension(s)")
    values = content[4 * dims + 4 :]
    if len(values) != math.prod(shape):
        raise ValueError(f"it contains {len(values)} bytes, not {' x '.join(map(str, shape))}")
    return torch.frombuffer(bytearray(values), dtype=torch.uint8).view(shape)
