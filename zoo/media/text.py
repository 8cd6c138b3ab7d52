"""Text as tensors of character ids."""

import re
import unicodedata

import torch
from torch import Tensor

# As in Zhang et al. 2015 and Reed et al. 2016, without their second hyphen.
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+=<>()[]{} "
TYPOGRAPHIC = str.maketrans("\u2018\u2019\u201c\u201d\u2010\u2011\u2013\u2014", "''\"\"----")
IDS = {character: number for number, character in enumerate(ALPHABET, start=1)}
OTHERS = re.compile(f"[^{re.escape(ALPHABET)}]")  # characters outside the alphabet


def normalize_caption(caption: str) -> str:
    """Convert a caption to the alphabet: lower case without accents, other characters as spaces.

    Runs of spaces become one, and those at the ends are removed. Typographic quotation marks and
    dashes become ASCII.
    """
    return " ".join(OTHERS.sub(" ", fold_case_and_accents(caption)).split())


def unknown_letters(caption: str) -> set[str]:
    """Return the characters of a caption that `normalize_caption` replaces by spaces."""
    return {c for c in fold_case_and_accents(caption) if c not in IDS and not c.isspace()}


def fold_case_and_accents(caption: str) -> str:
    """Convert a caption to lower case without accents, its quotation marks and dashes to ASCII."""
    letters = unicodedata.normalize("NFKD", caption.casefold().translate(TYPOGRAPHIC))
    if letters.isascii():  # without accents
        return letters
    return "".join(c for c in letters if not unicodedata.combining(c))


def words_of(caption: str) -> list[str]:
    """Return the words of a caption, in the alphabet and without punctuation."""
    return re.findall("[a-z0-9]+", normalize_caption(caption))


def to_ids(captions: list[str] | str, length: int | None = None) -> Tensor:
    """Convert captions to character ids.

    Args:
        captions: N captions, or one.
        length: T; longer captions are cut off. By default the length of the longest caption.

    Returns:
        int64 (N, T): positions in ALPHABET, counted from 1, and 0 after the end of a caption.

    Raises:
        ValueError: There are no captions, or one has no character of the alphabet.
    """
    originals = [captions] if isinstance(captions, str) else captions
    captions = [normalize_caption(caption) for caption in originals]
    if not captions:
        raise ValueError("there are no captions")
    if "" in captions:
        caption = originals[captions.index("")]
        raise ValueError(f"the caption {caption!r} has no characters of a to z or 0 to 9")
    if length is None:
        length = max(map(len, captions))
    ids = torch.zeros(len(captions), length, dtype=torch.int64)
    for row, caption in zip(ids, captions, strict=True):
        characters = [IDS[character] for character in caption[:length]]
        row[: len(characters)] = torch.tensor(characters)
    return ids


def from_ids(ids: Tensor) -> list[str]:
    """Convert character ids (N, T) to captions."""
    return ["".join(ALPHABET[number - 1] for number in row if number) for row in ids.tolist()]
