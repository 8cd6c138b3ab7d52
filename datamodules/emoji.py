"""Emoji of a color font, with their names."""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from datamodules.captions import CaptionedImages, WithCaptions
from datamodules.loading.emoji_font import (
    SUBSETS,
    Glyph,
    check_layout,
    draw_emoji,
    group_similar,
    list_emoji,
    open_font,
)
from datamodules.loading.sources import InMemoryImages, resize_images
from datamodules.loading.splits import assign_splits, check_fractions
from zoo.media.text import to_ids


class Emoji(WithCaptions):
    """Emoji of the Noto Color Emoji font on white, with their Unicode names as captions.

    Nothing is downloaded: most Linux desktops have the font. The data are the emoji of one code
    point, their skin tones, and the flags of regions. Emoji that are joined from several others,
    such as families and professions, are left out. The caption of a flag is `flag` and its ISO 3166
    code. An emoji that is newer than Python's Unicode table has the caption `emoji` and its code
    point.

    If several subsets are chosen, `label` is the number of the subset. The emoji of a single subset
    have no label (-1).

    An emoji's split is chosen by a hash of split_seed and its code point. All skin tones of an
    emoji, and emoji that look almost the same, such as the flags of Norway and Svalbard, are in the
    same split.

    Args:
        subset: faces, flags, animals or others; several of them joined by +, such as faces+flags;
            or all.
        font: Path of the font, or its file name in the desktop's folders of fonts.
        val_fraction: Fraction of the emoji for validation.
        test_fraction: Fraction of the emoji for testing.
        split_seed: Seed of the hashes.
        flip: Mirror training images. Off by default, because flags and letters would be wrong.
    """

    extractor = None
    labels_hint = "Set several subsets, such as data.subset=faces+flags: they are the classes."
    has_val_split = True
    changeable_on_resume = (*WithCaptions.changeable_on_resume, "font")

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int = 32,
        subset: str = "all",
        font: str = "NotoColorEmoji.ttf",
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        flip: bool = False,
    ):
        super().__init__()
        check_fractions(val_fraction, test_fraction)
        self.subsets = parse_subsets(subset)
        if len(self.subsets) > 1:
            self.class_names, self.classes = self.subsets, len(self.subsets)

    def open(self, split: str) -> CaptionedImages:
        hp, (emoji, images) = self.hparams, self._glyphs
        groups = group_similar([one.base for one in emoji], images)
        fractions = hp.val_fraction, hp.test_fraction
        splits = assign_splits(sorted(set(groups)), hp.split_seed, *fractions)
        chosen = torch.tensor([splits[group] == split for group in groups])
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2)[chosen]  # (N, 3, H, W)
        labels = self.labels_of(emoji)[chosen]
        source = InMemoryImages(resize_images(pixels, self.image_size), labels)
        captions = to_ids([one.caption for one in emoji])[chosen, None]  # (N, 1, T)
        return CaptionedImages(source, captions, torch.ones(len(labels), dtype=torch.int64))

    def labels_of(self, emoji: list[Glyph]) -> Tensor:
        """Return the label of each emoji, (N,) int64."""
        if not self.classes:
            return torch.full((len(emoji),), -1)
        return torch.tensor([self.subsets.index(one.subset) for one in emoji])

    @cached_property
    def _glyphs(self) -> tuple[list[Glyph], np.ndarray]:
        """The emoji, and their images, uint8 (N, H, W, 3)."""
        check_layout(self.subsets)
        font = open_font(self.hparams.font)
        emoji = list_emoji(font, self.subsets)
        return emoji, np.stack([draw_emoji(font, one.text) for one in emoji])


def parse_subsets(subset: str) -> tuple[str, ...]:
    """Return the subsets that a setting names, in the order of SUBSETS.

    Raises:
        ValueError: One does not exist, is named twice, or is combined with all.
    """
    names = SUBSETS if subset == "all" else subset.split("+")
    unknown = [name for name in names if name not in SUBSETS]
    fault = ""
    if "" in names:
        fault = "a name is missing"
    elif "all" in unknown:
        fault = "all contains every subset and stands alone"
    elif unknown:
        fault = f"there is no subset {unknown[0]!r}"
    elif len(set(names)) < len(names):
        fault = "a subset is named twice"
    if fault:
        raise ValueError(
            f"data.subset={subset}: {fault}. Choose all, {', '.join(SUBSETS)}, or several, such "
            "as faces+flags."
        )
    return tuple(name for name in SUBSETS if name in names)
