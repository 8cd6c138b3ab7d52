"""Any folder of images and of text files with captions, in the layouts of CUB and Flowers."""

import codecs
from functools import cached_property
from pathlib import Path

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torchvision.datasets.folder import IMG_EXTENSIONS

from datamodules.captions import CaptionedImages, WithCaptions
from datamodules.image_folder import ImageFolder
from datamodules.loading.files import class_folder, find_files, number
from datamodules.loading.sources import ImageFiles
from zoo.media.text import normalize_caption, to_ids, unknown_letters

IMAGES = ("images", "jpg")  # folders of images, as CUB and Flowers have them
TEXTS = ("text_c10", "text")


class CaptionedFolder(WithCaptions, ImageFolder):
    """A folder of your own images, each with a .txt of captions, one a line.

    Images lie below the folder `images` or `jpg`, text files below `text_c10` or `text`, or else
    both anywhere in `root`. A text is that of the image of the same name in the same subfolder, or
    of the only image of that name. Its subfolder is the class of the image: in CUB's layout
    images/CLASS/NAME.jpg and text/CLASS/NAME.txt, in that of Flowers jpg/NAME.jpg and
    text_c10/CLASS/NAME.txt. An image whose text is in no subfolder is its own class (-1).

    Whole classes are held out, an image without a class by itself: as in the paper, captions in
    testing and validation are of classes that training has not seen. The hash of a class's name and
    split_seed decides; of many classes, about `test_fraction` and `val_fraction` are held out, at
    least one unless it is 0.

    Images are as in data=image_folder, but not mirrored by default, for a caption may name a side.
    Captions are cut off after `text_length` characters. Characters outside the alphabet of
    zoo/media/text.py become spaces, with one warning. ValueError for an image without captions, and
    for a text file that is not in `encoding`.
    """

    beside = (".txt",)

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
            raise ValueError(f"data.encoding={encoding}: Python knows no such encoding") from error

    @property
    def root(self):
        """Where the images are."""
        return found(Path(self.hparams.root), IMAGES)

    @property
    def texts(self):
        """Where the text files are."""
        return found(Path(self.hparams.root), TEXTS, self.root)

    def open(self, split):
        files = self.files(split)
        names = [str(file) for file in files]
        images = ImageFiles(names, self.labels_of(files), self.image_size, self.image_channels)
        return CaptionedImages(images, *self._captions(files))

    def files_of(self, file):
        return [file, self._texts[file]]

    def class_of(self, file):
        return class_folder(self._texts[file].relative_to(self.texts), self._split_folders)

    def group_of(self, file):
        return self.class_of(file) or super().group_of(file)

    def _captions(self, files):
        """Captions (N, K, T) of images, and how many of the K each has."""
        length = self.hparams.text_length
        lines = [self._lines[file] for file in files]
        counts = torch.tensor([len(captions) for captions in lines], dtype=torch.int64)
        shape = len(files), max(counts.tolist(), default=1), length
        captions = torch.zeros(shape, dtype=torch.uint8)
        for row, of_image in zip(captions, lines, strict=True):
            row[: len(of_image)] = to_ids(of_image, length)
        return captions, counts

    @cached_property
    def _lines(self):
        """{image: its captions}; warns once of what is not in the alphabet."""
        lines = {f: captions_in(self._texts[f], self.hparams.encoding) for f in self.usable_files()}
        captions = [caption for of_image in lines.values() for caption in of_image]
        unknown = {
            caption: letters for caption in captions if (letters := unknown_letters(caption))
        }
        if unknown:
            letters = " ".join(sorted(set().union(*unknown.values())))
            rank_zero_warn(
                f"{len(unknown)} of {len(captions)} captions hold characters outside the alphabet "
                f"of zoo/media/text.py, which become spaces: {letters}"
            )
        return {
            file: [c for c in of_image if normalize_caption(c)] for file, of_image in lines.items()
        }

    @cached_property
    def _texts(self):
        """{image: its text file}"""
        texts = find_files(self.texts, (".txt",), "text", beside=IMG_EXTENSIONS)
        placed = {file.relative_to(self.texts).with_suffix(""): file for file in texts}
        named = {}
        for file in texts:
            named.setdefault(file.stem, []).append(file)
        matched = {}
        for file in self._files:
            only = named.get(file.stem, [])
            text = placed.get(file.relative_to(self.root).with_suffix(""))
            if text is None and len(only) != 1:
                raise ValueError(f"{file} has no captions: {file.stem}.txt is not in {self.texts}")
            matched[file] = text or only[0]
        unused = sorted(set(texts) - set(matched.values()))
        if unused:
            rank_zero_warn(
                f"{len(unused)} of {len(texts)} text files in {self.texts.absolute()} are of no "
                f"image and are passed over, such as {unused[0].name}."
            )
        return matched

    @cached_property
    def _labels(self):
        return number({name for name in map(self.class_of, self._files) if name})


def found(root: Path, names: tuple[str, ...], otherwise: Path | None = None) -> Path:
    """The first of a folder's subfolders of these names that is there, or the other folder."""
    return next((root / name for name in names if (root / name).is_dir()), otherwise or root)


def captions_in(file: Path, encoding: str) -> list[str]:
    """Read the lines of a text file that are not blank.

    Args:
        file: the text file; a byte order mark at its beginning is no part of the text.
        encoding: of the file.

    Raises:
        ValueError: the file has another encoding, or no line with a letter of zoo/media/text.py.
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
        raise ValueError(f"{file} holds zero bytes: it may be in data.encoding=utf-16-le or -be")
    lines = [line for line in text.splitlines() if line.strip()]
    if not any(map(normalize_caption, lines)):
        raise ValueError(f"{file} holds no captions in letters that are known (zoo/media/text.py)")
    return lines
