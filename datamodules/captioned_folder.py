"""A folder of your own images with captions, also in the layouts of CUB and Flowers."""

import codecs
from functools import cached_property
from pathlib import Path

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS

from datamodules.captions import CaptionedImages, WithCaptions
from datamodules.image_folder import ImageFolder
from datamodules.loading.files import class_folder, find_files, label_classes
from datamodules.loading.sources import ImageFiles
from zoo.media.text import normalize_caption, to_ids, unknown_letters

IMAGES = ("images", "jpg")  # folders of images, in CUB and Flowers
TEXTS = ("text_c10", "text")  # folders of text files


class CaptionedFolder(WithCaptions, ImageFolder):
    """A folder of your own images, each with a .txt file of captions, one per line.

    Images are in the folder `images` or `jpg`, and text files in `text_c10` or `text`. Without such
    folders, both can be anywhere in `root`. A text file belongs to the image of the same name in
    the same subfolder, or to the only image of that name. Its subfolder is the class of the image.
    An image whose text file is in no subfolder has no class (-1). Both CUB (images/CLASS/NAME.jpg,
    text/CLASS/NAME.txt) and Flowers (jpg/NAME.jpg, text_c10/CLASS/NAME.txt) can be read.

    As in the paper, whole classes are held out: validation and test classes do not occur in
    training. An image without a class counts as a class. The split is chosen by a hash of
    split_seed and the name of the class. Each held-out split gets at least one class unless its
    fraction is 0.

    Images are read as in data=image_folder. Characters outside the alphabet of zoo/media/text.py
    become spaces, with one warning.

    Args:
        text_length: Captions are truncated to this number of characters.
        flip: Mirror training images. Off by default, because a caption may mention left or right.
        encoding: Encoding of the text files, as Python names it.

    Raises:
        ValueError: An image has no captions, or a text file is not in `encoding`.
    """

    holds_out_classes = True

    ignored_extensions = (".txt",)

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int = 64,
        image_channels: int = 3,
        text_length: int = 201,
        val_fraction: float = 0.1,
        test_fraction: float = 0.25,
        split_seed: int = 0,
        flip: bool = False,
        workers: int = 2,
        root: str = "data/captioned",
        corrupt: str = "refuse",
        encoding: str = "utf-8",
    ):
        super().__init__(image_channels=image_channels, corrupt=corrupt)
        try:
            codecs.lookup(encoding)
        except LookupError as error:
            raise ValueError(
                f"data.encoding={encoding} is not an encoding of Python, such as utf-8"
            ) from error

    @property
    def root(self) -> Path:
        """The folder of the images."""
        return first_existing(Path(self.hparams.root), IMAGES)

    @property
    def texts(self) -> Path:
        """The folder of the text files."""
        return first_existing(Path(self.hparams.root), TEXTS, self.root)

    def open(self, split: str) -> CaptionedImages:
        files = self.files(split)
        names = [str(file) for file in files]
        images = ImageFiles(names, self.labels_of(files), self.image_size, self.image_channels)
        return CaptionedImages(images, *self._captions(files))

    def files_of(self, file: Path) -> list[Path]:
        return [file, self._texts[file]]

    def class_of(self, file: Path) -> str | None:
        return class_folder(self._texts[file].relative_to(self.texts), self._split_folders)

    def group_of(self, file: Path) -> str:
        return self.class_of(file) or super().group_of(file)

    def _captions(self, files: list[Path]) -> tuple[Tensor, Tensor]:
        """Return captions (N, K, T) of image files, and how many of the K each has, (N,)."""
        length = self.hparams.text_length
        lines = [self._lines[file] for file in files]
        counts = torch.tensor([len(captions) for captions in lines], dtype=torch.int64)
        shape = len(files), max(counts.tolist(), default=1), length
        captions = torch.zeros(shape, dtype=torch.uint8)
        for row, texts in zip(captions, lines, strict=True):
            row[: len(texts)] = to_ids(texts, length)
        return captions, counts

    @cached_property
    def _lines(self) -> dict[Path, list[str]]:
        """The captions of each image file; warns once about characters outside the alphabet."""
        encoding = self.hparams.encoding
        lines = {f: read_captions(self._texts[f], encoding) for f in self.usable_files()}
        captions = [caption for of_image in lines.values() for caption in of_image]
        unknown = {
            caption: letters for caption in captions if (letters := unknown_letters(caption))
        }
        if unknown:
            every_letter = " ".join(sorted(set().union(*unknown.values())))
            rank_zero_warn(
                f"{len(unknown)} of {len(captions)} captions contain characters outside the "
                f"alphabet of zoo/media/text.py, which become spaces: {every_letter}"
            )
        return {
            file: [c for c in of_image if normalize_caption(c)] for file, of_image in lines.items()
        }

    @cached_property
    def _texts(self) -> dict[Path, Path]:
        """The text file of each image file."""
        texts = find_files(self.texts, (".txt",), "text", ignored=IMG_EXTENSIONS)
        placed = {file.relative_to(self.texts).with_suffix(""): file for file in texts}
        named: dict[str, list[Path]] = {}
        for file in texts:
            named.setdefault(file.stem, []).append(file)
        matched = {}
        for file in self._files:
            only = named.get(file.stem, [])
            text = placed.get(file.relative_to(self.root).with_suffix(""))
            if text is None and len(only) != 1:
                raise ValueError(f"{file} has no captions: add {file.stem}.txt to {self.texts}")
            matched[file] = text or only[0]
        unused = sorted(set(texts) - set(matched.values()))
        if unused:
            rank_zero_warn(
                f"{len(unused)} of {len(texts)} text files in {self.texts.absolute()} belong to no "
                f"image and are skipped, such as {unused[0].name}."
            )
        return matched

    @cached_property
    def _labels(self) -> dict[str, int]:
        return label_classes({name for name in map(self.class_of, self._files) if name})


def first_existing(root: Path, names: tuple[str, ...], default: Path | None = None) -> Path:
    """Return the first existing subfolder of these names, else `default`, else `root`."""
    return next((root / name for name in names if (root / name).is_dir()), default or root)


def read_captions(file: Path, encoding: str) -> list[str]:
    """Read the lines of a text file that are not blank.

    Args:
        file: The text file; a byte order mark at its beginning is removed.
        encoding: Of the file.

    Raises:
        ValueError: The file has another encoding, or no character in zoo/media/text.py's alphabet.
    """
    encoding = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    try:
        text = file.read_bytes().decode(encoding)
    except UnicodeError as error:
        raise ValueError(
            f"{file} is not encoded as {encoding.removesuffix('-sig')} ({error}): name its "
            "encoding, such as data.encoding=latin-1, cp1252 or utf-16"
        ) from error
    if "\0" in text:
        raise ValueError(f"{file} contains zero bytes: try data.encoding=utf-16-le or utf-16-be")
    lines = [line for line in text.splitlines() if line.strip()]
    if not any(map(normalize_caption, lines)):
        raise ValueError(
            f"{file} contains no captions in the alphabet of zoo/media/text.py: a to z, 0 to 9"
        )
    return lines
