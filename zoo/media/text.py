"""Text as it is held: numbers of characters, by one alphabet."""

import re
import unicodedata

import torch
from torch import Tensor

# That of Zhang et al. 2015 and of Reed et al. 2016, whose second hyphen is left out.
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+=<>()[]{} "
TYPOGRAPHIC = str.maketrans("\u2018\u2019\u201c\u201d\u2010\u2011\u2013\u2014", "''\"\"----")
PLACES = {character: place for place, character in enumerate(ALPHABET, start=1)}


def normalize_caption(caption: str) -> str:
    """A caption in the alphabet: small letters without accents; all else becomes a space.

    Spaces stand alone, and not at the ends. Typographic quotation marks and dashes become plain.
    """
    return " ".join(
        re.sub(f"[^{re.escape(ALPHABET)}]", " ", fold_case_and_accents(caption)).split()
    )


def unknown_letters(caption: str) -> set[str]:
    """The characters of a caption for which `normalize_caption` has only a space."""
    return {c for c in fold_case_and_accents(caption) if c not in PLACES and not c.isspace()}


def fold_case_and_accents(caption: str) -> str:
    """A caption in small letters without accents, its quotation marks and dashes plain."""
    letters = unicodedata.normalize("NFKD", caption.casefold().translate(TYPOGRAPHIC))
    return "".join(c for c in letters if not unicodedata.combining(c))


def to_ids(captions: list[str] | str, length: int | None = None) -> Tensor:
    """int64 (N, T): places in ALPHABET from 1 on, and 0 after the end of a caption.

    T is `length`, where longer captions are cut off, or else the longest. ValueError for no
    captions, or one without a letter of the alphabet.
    """
    condition = [captions] if isinstance(captions, str) else captions
    captions = [normalize_caption(caption) for caption in condition]
    if not captions:
        raise ValueError("there are no captions")
    if "" in captions:
        caption = condition[captions.index("")]
        raise ValueError(f"the caption {caption!r} has no letters that are known: a to z, 0 to 9")
    if length is None:
        length = max(map(len, captions))
    ids = torch.zeros(len(captions), length, dtype=torch.int64)
    for row, caption in zip(ids, captions, strict=True):
        known = [PLACES[character] for character in caption[:length]]
        row[: len(known)] = torch.tensor(known)
    return ids


def from_ids(ids: Tensor) -> list[str]:
    """The captions of (N, T)."""
    return ["".join(ALPHABET[place - 1] for place in row if place) for row in ids.tolist()]
