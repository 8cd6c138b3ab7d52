"""Any folder of pairs of images."""

from functools import cached_property

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
from datamodules.loading.sources import resize_images
from datamodules.paired import PairedDataModule
from zoo.engine.loader import KeyedLoader, Subset
from zoo.engine.seeds import keyed_generator

MODES = {1: "L", 3: "RGB"}


class PairedFolder(FolderData, PairedDataModule):
    """A folder of your own pairs of images A and B, one file a pair or two, read as needed.

    Two files are a pair if they have one name, up to a final _A and _B, in two folders that differ
    in A and B: A and B, train/A and train/B, A/train and B/train, or trainA and trainB. Without
    such folders each file holds both images, A on the left and B on the right, as in pix2pix's data
    sets: it must be twice as wide as high, unless any_shape=true. direction: AtoB translates A into
    B, BtoA the other way.

    Files in subfolders called test are for testing, and those in val for validation, or for testing
    where there is no test. What the folders do not say is decided for each pair by the hash of its
    path in `root` and split_seed: of many pairs, about `test_fraction` and `val_fraction` are held
    out, at least one unless it is 0. Pairs that are added or removed later do not move the others.

    Images are turned upright as their EXIF data say, and stretched to image_size; in training to
    load_size, of which image_size are cut out at random, the same in both images of a pair, anew in
    each epoch.
    """

    endings = IMG_EXTENSIONS
    kind = "image"
    classes = 0
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

    def open(self, split):
        return self._pairs(split, self.hparams.image_size)

    def training_loader(self, **settings):
        train = self.source("train")
        larger = Subset(self._pairs("train", self.hparams.load_size), train.chosen)
        settings["flip"] = self.hparams.flip
        return CroppingLoader(larger, size=self.hparams.image_size, **settings)

    def _pairs(self, split, size):
        hp = self.hparams
        swapped = hp.direction == "BtoA"
        channels = hp.source_channels, hp.image_channels
        pairs = [(file, self._partners[file]) for file in self.files(split)]
        return Pairs(pairs, size, channels, swapped)

    def files_of(self, file):
        return [file, self._partners[file]]

    def usable_files(self):
        return list(self._partners)

    def split_of(self, file):
        return split_of(file.relative_to(self.root))

    @cached_property
    def _partners(self):
        """{file of A: file of B}, the same file where it holds both."""
        files = self._files
        raise_if_faulty(find_faulty_images(files), len(files), "take them out")
        partners = match_pairs(files, self.root)
        if partners:
            warn_if_shapes_differ(partners)
            return partners
        check_halves(files, self.hparams.any_shape)
        return {file: file for file in files}


class Pairs:
    """Pairs read when they are asked for: `source` and `image`, uint8, stretched to a square."""

    def __init__(self, files, size: int, channels: tuple[int, int], swapped: bool):
        self.files = files
        self.size = size
        self.modes = [MODES[count] for count in channels]
        self.swapped = swapped

    def __len__(self):
        return len(self.files)

    def __getitem__(self, positions: Tensor):
        pairs = [self._pair(*self.files[position]) for position in positions.tolist()]
        source, image = map(torch.stack, zip(*pairs, strict=True))
        return {"image": image, "source": source}

    def _pair(self, *files):
        """[source, image] of the files of A and B, the same where one holds both."""
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
    """A KeyedLoader for training whose pairs are cut to `size` at random places.

    Keyed by (seed, epoch, batch); processes share one draw for the global batch.
    """

    def __init__(self, source, *arguments, size: int, **keywords):
        super().__init__(source, *arguments, **keywords)
        self.size = size

    def __iter__(self):
        for batch in super().__iter__():
            spare = batch["image"].shape[-1] - self.size
            shape = len(batch["image"]) * self.world_size, 2
            generator = keyed_generator(self.seed, self.epoch, self.position, "crop")
            places = torch.randint(spare + 1, shape, generator=generator)
            places = places[self.rank :: self.world_size].tolist()
            for name in ("image", "source"):
                cut = [
                    image[:, y : y + self.size, x : x + self.size]
                    for image, (y, x) in zip(batch[name], places, strict=True)
                ]
                batch[name] = torch.stack(cut)
            yield batch
