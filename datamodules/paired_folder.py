"""A folder of your own pairs of images."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS

from datamodules.loading.decoding import decode_image, find_faulty_images, raise_if_faulty
from datamodules.loading.folder import FolderData
from datamodules.loading.pair_files import (
    check_halves,
    match_pairs,
    split_of,
    warn_if_shapes_differ,
)
from datamodules.loading.sources import Source, resize_images
from datamodules.paired import PairedDataModule
from zoo.engine.loader import KeyedLoader, Subset
from zoo.engine.seeds import keyed_generator

MODES = {1: "L", 3: "RGB"}


class PairedFolder(FolderData, PairedDataModule):
    """A folder of your own pairs of images A and B, in two files or side by side in one file.

    Two files are a pair if their names are equal, except for a final _A or _B, and their folders'
    names differ only in A and B: A and B, train/A and train/B, A/train and B/train, or trainA and
    trainB. Without such folders, each file contains both images, A on the left and B on the right,
    as in the datasets of pix2pix.

    Files in folders called test are for testing. Files in val are for validation, or for testing if
    there is no test folder. All other splits are chosen by a hash of split_seed and the pair's path
    in `root`, so adding or removing pairs does not change the split of others. Each held-out split
    gets at least one pair unless its fraction is 0.

    EXIF orientation is applied, and images are stretched to a square. Training images are stretched
    to load_size and cropped to image_size at random positions. Both images of a pair have the same
    position, which changes every epoch. Files are read on access.

    Args:
        load_size: Height and width of training images before the random crop.
        image_channels: 3 for RGB, 1 for gray target images.
        source_channels: 3 for RGB, 1 for gray source images.
        direction: AtoB translates A into B, BtoA translates B into A.
        any_shape: Accept side-by-side files whose width is not twice their height.

    Raises:
        ValueError: A file cannot be read, has no partner, or cannot be cut into two images.
    """

    extensions = IMG_EXTENSIONS
    file_kind = "image"
    classes = 0
    labels_hint = ""
    class_names = ()

    def __init__(
        self,
        batch_size: int = 1,
        image_size: int = 256,
        load_size: int = 286,
        image_channels: int = 3,
        source_channels: int = 3,
        direction: str = "AtoB",
        any_shape: bool = False,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        flip: bool = True,
        workers: int = 2,
        root: str = "data/pairs",
    ):
        if direction not in ("AtoB", "BtoA"):
            raise ValueError(f"data.direction={direction}: it must be AtoB or BtoA")
        if load_size < image_size:
            raise ValueError(f"data.load_size={load_size} must be at least image_size={image_size}")
        super().__init__()
        self.image_channels, self.source_channels = image_channels, source_channels

    def open(self, split: str) -> "PairFiles":
        return self._pairs(split, self.hparams.image_size)

    def training_loader(self, **settings: Any) -> KeyedLoader:
        train = self.source("train")
        larger = Subset(self._pairs("train", self.hparams.load_size), train.chosen)
        settings["flip"] = self.hparams.flip
        return CroppingLoader(larger, size=self.hparams.image_size, **settings)

    def _pairs(self, split: str, size: int) -> "PairFiles":
        hp = self.hparams
        swapped = hp.direction == "BtoA"
        channels = hp.source_channels, hp.image_channels
        pairs = [(file, self._partners[file]) for file in self.files(split)]
        return PairFiles(pairs, size, channels, swapped)

    def files_of(self, file: Path) -> list[Path]:
        return [file, self._partners[file]]

    def usable_files(self) -> list[Path]:
        return list(self._partners)

    def split_of(self, file: Path) -> str:
        return split_of(file.relative_to(self.root))

    @cached_property
    def _partners(self) -> dict[Path, Path]:
        """The file of B for each file of A; the same file if it contains both."""
        files = self._files
        raise_if_faulty(find_faulty_images(files), len(files), "remove them")
        partners = match_pairs(files, self.root)
        if partners:
            warn_if_shapes_differ(partners)
            return partners
        check_halves(files, self.hparams.any_shape)
        return {file: file for file in files}


class PairFiles:
    """Pairs that are read from files on access: `source` and `image`, uint8.

    Args:
        files: (file of A, file of B) of each pair, which may be the same file.
        size: Images are stretched to this height and width.
        channels: Of the source and of the image.
        swapped: Whether B is the source.
    """

    def __init__(
        self, files: list[tuple[Path, Path]], size: int, channels: tuple[int, int], swapped: bool
    ):
        self.files = files
        self.size = size
        self.modes = [MODES[count] for count in channels]
        self.swapped = swapped

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, positions: Tensor) -> dict[str, Tensor]:
        pairs = [self._pair(*self.files[position]) for position in positions.tolist()]
        source, image = map(torch.stack, zip(*pairs, strict=True))
        return {"image": image, "source": source}

    def _pair(self, *files: Path) -> list[Tensor]:
        """Read [source, image] from the files of A and B."""
        sides = (1, 0) if self.swapped else (0, 1)
        contents = [file.read_bytes() for file in dict.fromkeys(files)]
        if len(contents) == 1:
            both = {mode: decode_image(contents[0], mode) for mode in set(self.modes)}
            halves = {mode: image.tensor_split(2, dim=2) for mode, image in both.items()}
            images = [halves[mode][side] for mode, side in zip(self.modes, sides, strict=True)]
        else:
            pairs = zip(sides, self.modes, strict=True)
            images = [decode_image(contents[side], mode) for side, mode in pairs]
        return [resize_images(image[None], self.size)[0] for image in images]


class CroppingLoader(KeyedLoader):
    """A KeyedLoader for training that crops pairs at random positions.

    Crops are keyed by (seed, epoch, batch). All processes share the draw of the global batch.

    Args:
        source: The pairs.
        *arguments: As in KeyedLoader.
        size: Height and width of the crops.
        **keywords: As in KeyedLoader.
    """

    def __init__(self, source: Source, *arguments: Any, size: int, **keywords: Any):
        super().__init__(source, *arguments, **keywords)
        self.size = size

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for batch in super().__iter__():
            spare = batch["image"].shape[-1] - self.size
            shape = len(batch["image"]) * self.world_size, 2
            generator = keyed_generator(self.seed, self.epoch, self.position, "crop")
            places = torch.randint(spare + 1, shape, generator=generator)
            corners = places[self.rank :: self.world_size].tolist()
            for name in ("image", "source"):
                cut = [
                    image[:, y : y + self.size, x : x + self.size]
                    for image, (y, x) in zip(batch[name], corners, strict=True)
                ]
                batch[name] = torch.stack(cut)
            yield batch
