"""Emoji of a color font: which there are, what they are called, and what they look like."""

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features
from scipy.sparse.csgraph import connected_components

from zoo.config.errors import UserError

SIZE = 109  # the font's only size, in pixels per em
BOX = (136, 128)  # width and height of a glyph
THUMBNAIL = 8  # factor by which images are downsampled before they are compared
SIMILAR = 0.04  # root mean squared difference of thumbnails in [0, 1]
# First and last code points. The order of emoji within a block of Unicode is by theme.
SUBSETS: dict[str, tuple[tuple[int, int], ...]] = {
    "faces": (
        *((0x2639, 0x263A), (0x1F600, 0x1F644), (0x1F910, 0x1F915), (0x1F917, 0x1F917)),
        *((0x1F920, 0x1F925), (0x1F927, 0x1F92F), (0x1F970, 0x1F976), (0x1F978, 0x1F97A)),
        *((0x1F9D0, 0x1F9D0), (0x1FAE0, 0x1FAE5), (0x1FAE8, 0x1FAEA)),
    ),
    "flags": (),  # sequences of code points
    "animals": (
        *((0x1F400, 0x1F43F), (0x1F54A, 0x1F54A), (0x1F577, 0x1F577), (0x1F980, 0x1F99F)),
        *((0x1F9A1, 0x1F9A9), (0x1F9AB, 0x1F9AE), (0x1FAB0, 0x1FAB3), (0x1FABC, 0x1FABC)),
        *((0x1FABF, 0x1FABF), (0x1FACE, 0x1FACF)),
    ),
    "others": (),  # the other code points
}
SCANNED: tuple[tuple[int, int], ...]  # for other emoji
SCANNED = (0xA9, 0xAE), (0x203C, 0x2049), (0x2100, 0x33FF), (0x1F000, 0x1F1E5), (0x1F200, 0x1FAFF)
LETTERS = [chr(0x1F1E6 + place) for place in range(26)]  # regional indicators A to Z
UNKNOWN_FLAG = LETTERS[-1] * 2  # ZZ, which is drawn for every pair that is no region
SUBDIVISIONS = ("gbeng", "gbsct", "gbwls")  # England, Scotland and Wales: those that fonts draw
TONES = {
    chr(0x1F3FB + place): f"{tone} skin tone"
    for place, tone in enumerate(("light", "medium-light", "medium", "medium-dark", "dark"))
}


class Glyph(NamedTuple):
    """An emoji that a font draws as one glyph.

    Args:
        text: Its code points.
        base: Its code points without the skin tone.
        subset: Its subset, of SUBSETS.
        caption: Its name.
    """

    text: str
    base: str
    subset: str
    caption: str


def open_font(font: str) -> ImageFont.FreeTypeFont:
    """Open a color font.

    Args:
        font: A path, or the name of a file in the folders of the desktop's fonts.

    Raises:
        UserError: There is no such file, or it does not contain color images of emoji.
    """
    way_out = (
        "install NotoColorEmoji.ttf (the Debian package fonts-noto-color-emoji), or set data.font "
        "to its path"
    )
    if Path(font).name != font and not Path(font).is_file():  # Pillow would search for its name
        raise UserError(f"data.font={font} is not a file: {way_out}.")
    try:
        opened = ImageFont.truetype(font, SIZE)
    except OSError as error:
        if str(error) == "cannot open resource":
            raise UserError(f"data.font={font} is not found: {way_out}.") from error
        raise UserError(f"data.font={font} is not a color font ({error}): {way_out}.") from error
    red, _, blue = np.moveaxis(draw_emoji(opened, "\N{GRINNING FACE}").astype(int), -1, 0)
    if (red - blue).max() < 64:  # yellow
        raise UserError(f"data.font={font} has no color images of emoji: {way_out}.")
    return opened


def check_layout(subsets: tuple[str, ...]) -> None:
    """Check that Pillow can combine the code points of a flag or of a skin tone.

    Raises:
        UserError: It cannot, and a subset has such emoji.
    """
    if not features.check("raqm") and not {"flags", "others"}.isdisjoint(subsets):
        raise UserError(
            "Pillow draws flags and skin tones only with the library libraqm, which is missing: "
            "install it (the Debian package libraqm0), or choose data.subset=faces, animals or "
            "faces+animals."
        )


def draw_emoji(font: ImageFont.FreeTypeFont, text: str) -> np.ndarray:
    """Draw one emoji on a white square, uint8 (136, 136, 3)."""
    width, height = BOX
    image = Image.new("RGB", (width, width), "white")
    place = 0, (width - height) // 2
    ImageDraw.Draw(image).text(place, text, font=font, embedded_color=True)
    return np.asarray(image)


def list_emoji(font: ImageFont.FreeTypeFont, subsets: tuple[str, ...]) -> list[Glyph]:
    """Return the emoji of a font that are one code point, with or without skin tone, or a flag.

    Sequences that the font draws as several glyphs are left out. So are sequences with U+200D, such
    as families and professions.

    Args:
        font: The font.
        subsets: Names in SUBSETS.
    """
    single = [emoji for subset in subsets for emoji in single_emoji(font, subset)]
    toned = [emoji for base in single for emoji in skin_tones(font, base)]
    return single + toned + (list(flags(font)) if "flags" in subsets else [])


def single_emoji(font: ImageFont.FreeTypeFont, subset: str) -> Iterator[Glyph]:
    """Yield the emoji of a subset that are single code points."""
    ranges = SUBSETS[subset] if subset != "others" else SCANNED
    used = set() if subset != "others" else set(code_points(chain(*SUBSETS.values())))
    for number in code_points(ranges):
        text = chr(number)
        if number not in used and text not in TONES and is_drawn(font, text):
            # Python's table of names may be older than the font.
            caption = unicodedata.name(text, f"emoji {number:x}").lower()
            yield Glyph(text, text, subset, caption)


def skin_tones(font: ImageFont.FreeTypeFont, base: Glyph) -> Iterator[Glyph]:
    """Yield an emoji in each skin tone, if the font has it."""
    if not is_one_glyph(font, base.text + next(iter(TONES))):
        return
    for tone, name in TONES.items():
        yield base._replace(text=base.text + tone, caption=f"{base.caption}, {name}")


def flags(font: ImageFont.FreeTypeFont) -> Iterator[Glyph]:
    """Yield the flags of regions, by their ISO 3166 codes."""
    unknown = draw_emoji(font, UNKNOWN_FLAG)
    for letters in product(LETTERS, repeat=2):
        text = "".join(letters)
        if is_one_glyph(font, text) and (draw_emoji(font, text) != unknown).any():
            code = "".join(chr(ord("a") + LETTERS.index(letter)) for letter in letters)
            yield Glyph(text, text, "flags", f"flag {code}")
    for code in SUBDIVISIONS:
        tags = "".join(chr(0xE0000 + ord(letter)) for letter in code)
        text = f"\N{WAVING BLACK FLAG}{tags}\U000e007f"
        if is_one_glyph(font, text):
            yield Glyph(text, text, "flags", f"flag {code}")


def code_points(ranges: Iterable[tuple[int, int]]) -> Iterator[int]:
    """Yield the code points in ranges of first and last ones."""
    return chain.from_iterable(range(first, last + 1) for first, last in ranges)


def is_drawn(font: ImageFont.FreeTypeFont, text: str) -> bool:
    """Return whether a font has a glyph; the missing glyph is empty."""
    _, top, _, bottom = font.getbbox(text)
    return bottom > top


def is_one_glyph(font: ImageFont.FreeTypeFont, text: str) -> bool:
    """Return whether a sequence of code points is drawn as one glyph; all have the same width."""
    return font.getlength(text) < 1.5 * BOX[0]


def group_similar(bases: list[str], images: np.ndarray) -> list[str]:
    """Group images that have the same base, or look almost the same, such as Norway and Svalbard.

    Args:
        bases: The base of each image.
        images: uint8 (N, H, W, 3).

    Returns:
        The name of each image's group, its smallest base.
    """
    small = [np.asarray(Image.fromarray(image).reduce(THUMBNAIL)) for image in images]
    flat = np.stack(small).reshape(len(small), -1).astype(np.float32) / 255
    squares = np.square(flat).mean(axis=1)
    errors = squares[:, None] + squares - 2 * flat @ flat.T / flat.shape[1]
    _, number = np.unique(bases, return_inverse=True)
    linked = (errors <= SIMILAR**2) | (number[:, None] == number)
    _, components = connected_components(linked, directed=False)
    names: dict[int, str] = {}
    for base, component in sorted(zip(bases, components.tolist(), strict=True)):
        names.setdefault(component, base)
    return [names[component] for component in components.tolist()]
