"""Emoji: which there are, their captions and labels, and splits without near-duplicates."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ImageFont

from datamodules import emoji
from datamodules.edges import Edges, edges_of
from datamodules.emoji import Emoji, parse_subsets
from datamodules.loading import emoji_font
from datamodules.loading.emoji_font import TONES, UNKNOWN_FLAG, Glyph, group_similar, list_emoji
from zoo.config.errors import UserError
from zoo.engine.seeds import key

PLACES = "NotoColorEmoji.ttf", str(Path(__file__).parents[3] / "shared/data/NotoColorEmoji.ttf")
FACES = "".join(map(chr, range(0x1F600, 0x1F640)))
SINGLE = f"{FACES}🐀🐁🐂👋☎"
REGIONS = ("NO", "BV", "SJ", "DE", "FR", "IT", "RO", "TD")
TWINS = {"BV": "NO", "SJ": "NO"}  # drawn alike


def flag(code):
    return "".join(chr(0x1F1E6 + ord(letter) - ord("A")) for letter in code)


class FakeFont:
    """Has the emoji in SINGLE, the skin tones of a hand, and the flags of REGIONS."""

    def getbbox(self, text):
        return (0, 0, 136, 128) if text in SINGLE else (0, 101, 136, 101)

    def getlength(self, text):
        one = len(text) == 1 or text[0] == "👋" or (text[0] in UNKNOWN_FLAG[0] + flag("NBSDFIRT"))
        return 136 if one else 272


def fake_drawing(font, text):
    """Random blocks, the same for regions that are drawn alike and for all unknown ones."""
    named = {flag(code): flag(TWINS.get(code, code)) for code in REGIONS}
    is_pair = len(text) == 2 and text[0] in emoji_font.LETTERS
    text = named.get(text, UNKNOWN_FLAG) if is_pair else text
    blocks = np.random.default_rng(key("fake", text)).integers(256, size=(17, 17, 3), dtype="uint8")
    return blocks.repeat(8, axis=0).repeat(8, axis=1)


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(emoji, "open_font", lambda font: FakeFont())
    monkeypatch.setattr(emoji, "check_layout", lambda subsets: None)
    for module in (emoji, emoji_font):
        monkeypatch.setattr(module, "draw_emoji", fake_drawing)


def whole(data, split):
    source = data.source(split)
    return source[torch.arange(len(source))]


def captions(data, split):
    return data.captions(whole(data, split)["text"])


def places(data):
    """{caption: split}"""
    return {text: split for split in ("train", "val", "test") for text in captions(data, split)}


def test_emoji_are_one_code_point_its_skin_tones_or_a_flag(fake):
    found = list_emoji(FakeFont(), tuple(emoji_font.SUBSETS))
    kinds = Counter(glyph.subset for glyph in found)
    assert kinds == {"faces": 64, "animals": 3, "others": 2 + 5, "flags": 8}
    texts = {glyph.text: glyph for glyph in found}
    assert texts["😀"] == Glyph("😀", "😀", "faces", "grinning face")
    name = "waving hand sign, medium-dark skin tone"
    assert texts["👋\U0001f3fe"] == Glyph("👋\U0001f3fe", "👋", "others", name)
    assert texts[flag("DE")] == Glyph(flag("DE"), flag("DE"), "flags", "flag de")
    assert UNKNOWN_FLAG not in texts
    assert not texts.keys() & {*TONES, *emoji_font.LETTERS}


def test_no_emoji_is_in_two_subsets():
    numbers = [n for ranges in emoji_font.SUBSETS.values() for n in emoji_font.code_points(ranges)]
    assert len(numbers) == len(set(numbers))


def test_emoji_newer_than_pythons_table_have_a_caption(fake, monkeypatch):
    monkeypatch.setattr(f"{__name__}.SINGLE", "\U0001faea")  # of Unicode 17
    (found,) = emoji_font.single_emoji(FakeFont(), "faces")
    assert found.caption in ("emoji 1faea", "distorted face")


def test_skin_tones_and_emoji_that_look_alike_are_in_one_split(fake):
    for seed in range(5):
        data = Emoji(split_seed=seed, val_fraction=0.3, test_fraction=0.3)
        split = places(data)
        assert len(split) == 64 + 3 + 7 + 8
        assert len({split[text] for text in split if "waving hand" in text}) == 1
        assert split["flag no"] == split["flag bv"] == split["flag sj"]
        assert set(split.values()) == {"train", "val", "test"}


def test_the_split_depends_on_the_seed_alone_and_is_that_of_all_emoji(fake):
    every, again, other = (places(Emoji(split_seed=seed)) for seed in (0, 0, 1))
    assert every == again != other
    faces = places(Emoji(subset="faces"))
    assert faces == {text: split for text, split in every.items() if text in faces}


def test_images_of_one_base_or_almost_the_same_are_a_group():
    blocks = np.random.default_rng(0).integers(200, size=(4, 17, 17, 3), dtype="uint8")
    blocks[3] = blocks[1] + 9  # a difference of 9 / 255 = 0.035
    images = blocks.repeat(8, axis=1).repeat(8, axis=2)
    assert group_similar(list("dcba"), images) == ["d", "a", "b", "a"]
    assert group_similar(list("dcdd"), images) == ["c", "c", "c", "c"], "linked by image 3"
    images[3] += 2  # 0.043
    assert group_similar(list("dcba"), images) == ["d", "c", "b", "a"]


def test_the_label_is_the_subset_if_there_are_several(fake):
    data = Emoji(subset="flags+faces")
    assert (data.classes, data.class_names) == (2, ("faces", "flags"))
    batch = whole(data, "train")
    for text, label in zip(data.captions(batch["text"]), batch["label"].tolist(), strict=True):
        assert label == text.startswith("flag")
    assert Emoji().class_names == ("faces", "flags", "animals", "others")
    one = Emoji(subset="faces")
    assert (one.classes, one.class_names) == (0, ())
    assert set(whole(one, "train")["label"].tolist()) == {-1}


def test_images_are_the_drawings(fake):
    data = Emoji(subset="animals", image_size=136, val_fraction=0, test_fraction=0)
    batch = whole(data, "train")
    assert data.captions(batch["text"]) == ["rat", "mouse", "ox"]
    drawn = np.stack([fake_drawing(None, text) for text in "🐀🐁🐂"])
    assert torch.equal(batch["image"], torch.from_numpy(drawn).permute(0, 3, 1, 2))
    small = Emoji(subset="animals", image_size=17, val_fraction=0, test_fraction=0)
    assert whole(small, "train")["image"].shape == (3, 3, 17, 17)


def test_training_batches_have_captions(fake):
    data = Emoji(subset="faces+flags", batch_size=16)
    batch = next(iter(data.train_dataloader()))
    assert set(batch) == {"image", "text", "label", "index"}
    assert torch.equal(batch["text"], whole(data, "train")["text"][batch["index"]])


def test_edges_are_of_a_subset(fake):
    data = Edges(of="emoji", subset="animals")
    assert (data.image_size, data.image_channels) == (32, 3)
    batch = whole(data, "train")
    assert torch.equal(batch["image"], whole(Emoji(subset="animals"), "train")["image"])
    assert torch.equal(batch["source"], edges_of(batch["image"], 1.0))
    with pytest.raises(UserError, match=r"data\.of=digits does not accept subset"):
        Edges(of="digits", subset="faces")


def test_unknown_subsets_are_refused():
    assert parse_subsets("animals+faces") == ("faces", "animals")
    assert parse_subsets("all") == tuple(emoji_font.SUBSETS)
    for wrong, message in {
        "flag": "there is no subset 'flag'",
        "faces+": "a name is missing",
        "": "a name is missing",
        "all+faces": "all contains every subset",
        "faces+faces": "a subset is named twice",
    }.items():
        with pytest.raises(ValueError, match=rf"data\.subset=.*: {message}.*\. Choose all, "):
            Emoji(subset=wrong)


def test_fonts_that_do_not_draw_emoji_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"missing\.ttf is not found: .* fonts-noto-color-emoji"):
        Emoji(font="missing.ttf").source("train")
    with pytest.raises(UserError, match=r"is not a file"):
        Emoji(font=str(tmp_path / "NotoColorEmoji.ttf")).source("train")
    (tmp_path / "text.ttf").write_text("no font")
    with pytest.raises(UserError, match=r"text\.ttf is not a color font \(unknown file format\)"):
        Emoji(font=str(tmp_path / "text.ttf")).source("train")


def test_a_font_without_color_is_refused(monkeypatch):
    plain = ImageFont.load_default(20)
    monkeypatch.setattr(emoji_font.ImageFont, "truetype", lambda font, size: plain)
    with pytest.raises(UserError, match=r"data\.font=plain\.ttf has no color images of emoji"):
        emoji_font.open_font("plain.ttf")


def test_sequences_need_libraqm(monkeypatch):
    monkeypatch.setattr(emoji_font.features, "check", lambda name: False)
    for subset in ("all", "flags", "faces+others"):
        with pytest.raises(UserError, match=r"libraqm, which is missing: .*data\.subset=faces"):
            Emoji(subset=subset).source("train")
    emoji_font.check_layout(("faces", "animals"))


@pytest.fixture(scope="module")
def font():
    for place in PLACES:
        try:
            emoji_font.open_font(place)
        except UserError:
            continue
        if emoji_font.features.check("raqm"):
            return place
    pytest.skip("needs the font NotoColorEmoji.ttf and libraqm")


@pytest.fixture(scope="module")
def all_emoji(font):
    """All emoji of the font, which take seconds to draw."""
    return Emoji(font=font)


def test_emoji_of_the_font(all_emoji):
    """Counts of the font's version of 2022; newer ones have more."""
    found, images = all_emoji._glyphs
    kinds = Counter(glyph.subset for glyph in found)
    for subset, count in (("faces", 111), ("flags", 261), ("animals", 119), ("others", 1811)):
        assert count <= kinds[subset] < 1.1 * count
    toned = [glyph for glyph in found if glyph.text != glyph.base]
    assert 132 * 5 <= len(toned) < 150 * 5
    assert {glyph.subset for glyph in toned} == {"others"}
    assert all(len(set(glyph.text) & set(TONES)) == 1 for glyph in toned)
    place = {glyph.caption: number for number, glyph in enumerate(found)}
    assert len(place) == len(found)
    assert (images[place["flag no"]] == images[place["flag sj"]]).all()
    assert (images[:, :4] == 255).all(), "a white margin"
    assert images[place["black heart"]].mean() < 200
    red, green, blue = images[place["grinning face"]][68, 20]
    assert red > 200
    assert green > 150
    assert blue < 120
    groups = group_similar([glyph.base for glyph in found], images)
    assert groups[place["flag td"]] == groups[place["flag ro"]]
    together = Counter(groups)
    assert 1500 < len(together) < 1800
    assert max(together.values()) <= 12, "no group of emoji that differ"


def test_a_subset_of_the_font_has_the_split_of_all_emoji(font, all_emoji):
    every = places(all_emoji)
    for subset in ("faces", "flags", "animals"):
        own = places(Emoji(font=font, subset=subset))
        assert own == {text: every[text] for text in own}
