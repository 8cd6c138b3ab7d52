import pytest
import torch
from PIL import Image

from datamodules.captioned_folder import CaptionedFolder
from zoo.media.text import from_ids


def write(root, image, text=None, level=0, captions="a bird"):
    for path in (image, text):
        if path:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), (level,) * 3).save(root / image)
    if text:
        (root / text).write_text(captions)


def folder(root, **given):
    settings = {"image_size": 8, "workers": 0, "val_fraction": 0.0, "test_fraction": 0.0}
    return CaptionedFolder(**settings | {"root": str(root)} | given)


def content(data, split="train"):
    """{gray level: (label, captions)}"""
    part = data.source(split)
    batch = part[torch.arange(len(part))]
    source = part.source
    captions = [from_ids(rows[:n]) for rows, n in zip(source.captions, source.counts, strict=True)]
    captions = [captions[place] for place in part.chosen.tolist()]
    levels = batch["image"][:, 0, 0, 0].tolist()
    return dict(zip(levels, zip(batch["label"].tolist(), captions, strict=True), strict=True))


def test_texts_beside_images(tmp_path):
    write(tmp_path, "crow/a.png", "crow/a.txt", 10, "A black bird.\n\nwith feet \n")
    write(tmp_path, "ant/a.png", "ant/a.txt", 20, "six feet")
    data = folder(tmp_path)
    assert data.classes == 2
    expected = {10: (1, ["a black bird.", "with feet"]), 20: (0, ["six feet"])}
    assert content(data) == expected


def test_folders_of_splits_are_splits(tmp_path):
    """As in the paper, their classes may be others than those of training."""
    write(tmp_path, "images/train/crow/a.png", "text/train/crow/a.txt", 10, "one")
    write(tmp_path, "images/test/ant/a.png", "text/test/ant/a.txt", 20, "two")
    data = folder(tmp_path)
    assert data.class_names == ("ant", "crow")
    assert content(data) == {10: (1, ["one"])}
    assert content(data, "test") == {20: (0, ["two"])}


@pytest.mark.parametrize("texts", ["text", "text_c10"])
def test_the_layout_of_cub(texts, tmp_path):
    write(tmp_path, "images/002.crow/a.png", f"{texts}/002.crow/a.txt", 10, "one")
    write(tmp_path, "images/001.ant/a.png", f"{texts}/001.ant/a.txt", 20, "two")
    assert content(folder(tmp_path)) == {10: (1, ["one"]), 20: (0, ["two"])}


def test_the_layout_of_flowers(tmp_path):
    write(tmp_path, "jpg/image_00001.png", "text_c10/class_00077/image_00001.txt", 10, "one")
    write(tmp_path, "jpg/image_00002.png", "text_c10/class_00003/image_00002.txt", 20, "two")
    data = folder(tmp_path)
    assert content(data) == {10: (1, ["one"]), 20: (0, ["two"])}
    assert data.classes == 2


def test_without_subfolders_there_are_no_classes(tmp_path):
    for number in range(8):
        write(tmp_path, f"{number}.png", f"{number}.txt", number)
    data = folder(tmp_path, test_fraction=0.25)
    assert data.classes == 0
    train, test = content(data), content(data, "test")
    assert train
    assert test
    assert {label for label, _ in [*train.values(), *test.values()]} == {-1}
    assert sorted([*train, *test]) == list(range(8))


def test_whole_classes_are_held_out(tmp_path):
    for number in range(20):
        write(tmp_path, f"c{number % 5}/{number}.png", f"c{number % 5}/{number}.txt", number)
    data = folder(tmp_path, test_fraction=0.4, val_fraction=0.2)
    labels = {
        s: {label for label, _ in content(data, s).values()} for s in ("train", "val", "test")
    }
    assert all(labels.values())
    assert sum(map(len, labels.values())) == 5
    assert sum(len(content(data, split)) for split in labels) == 20
    other = folder(tmp_path, test_fraction=0.4, split_seed=3)
    assert {label for label, _ in content(other, "test").values()} != labels["test"]


def test_each_image_without_a_class_is_held_out_by_itself(tmp_path):
    for number in range(10):
        place = f"{'c/' if number < 2 else ''}{number}"
        write(tmp_path, f"{place}.png", f"{place}.txt", number)
    sets = set()
    for seed in range(6):
        held_out = content(folder(tmp_path, test_fraction=1 / 3, split_seed=seed), "test")
        assert (0 in held_out) == (1 in held_out)
        sets.add(tuple(held_out))
    assert len(sets) > 3


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", b"\xef\xbb\xbf"),
        ("latin-1", b""),
        ("utf-16", b""),
        ("cp1252", b""),
    ],
)
def test_captions_are_read_in_the_encoding_that_is_named(encoding, mark, tmp_path):
    write(tmp_path, "a/1.png", "a/1.txt", 10)
    (tmp_path / "a/1.txt").write_bytes(mark + "un café\ndéjà vu".encode(encoding))
    expected = {10: (0, ["un cafe", "deja vu"])}
    assert content(folder(tmp_path, encoding=encoding)) == expected
    if encoding == "utf-8":
        assert content(folder(tmp_path)) == expected
    else:
        message = r"1\.txt is not encoded as utf-8 \(.*such as data\.encoding=latin-1"
        with pytest.raises(ValueError, match=message):
            folder(tmp_path).source("train")


def test_two_bytes_a_letter_are_not_taken_for_spaces(tmp_path):
    """Without a mark such a file is valid UTF-8."""
    write(tmp_path, "a/1.png", "a/1.txt", 10)
    (tmp_path / "a/1.txt").write_bytes("a bird".encode("utf-16-le"))
    with pytest.raises(ValueError, match=r"1\.txt contains zero bytes: .*data\.encoding=utf-16-le"):
        folder(tmp_path).source("train")
    assert content(folder(tmp_path, encoding="utf-16-le")) == {10: (0, ["a bird"])}


def test_characters_outside_the_alphabet_are_reported_once(tmp_path):
    write(tmp_path, "train/a/1.png", "train/a/1.txt", 10, "a \u732b cat\na dog\n\u732b")
    write(tmp_path, "test/b/2.png", "test/b/2.txt", 20, "5 \u20ac")
    data = folder(tmp_path)
    with pytest.warns(UserWarning, match="3 of 4 captions .* spaces: \u20ac \u732b") as messages:
        found = content(data) | content(data, "test")
    assert len(messages) == 1
    assert found == {10: (0, ["a cat", "a dog"]), 20: (1, ["5"])}


def test_texts_without_an_image_are_reported(tmp_path):
    write(tmp_path, "a/1.png", "a/1.txt", 10)
    (tmp_path / "a/README.txt").write_text("of these data")
    with pytest.warns(UserWarning, match=r"1 of 2 text files .* skipped, such as README.txt"):
        assert content(folder(tmp_path)) == {10: (0, ["a bird"])}


def test_captions_are_cut_off(tmp_path):
    for number in range(6):
        write(tmp_path, f"c{number % 2}/{number}.png", f"c{number % 2}/{number}.txt", number)
    batch = next(iter(folder(tmp_path, text_length=3).training_loader(batch_size=6, seed=0)))
    assert from_ids(batch["text"]) == ["a b"] * 6


def test_a_wrong_image_is_flipped_as_the_right_one_is(tmp_path):
    image = torch.arange(0, 256, 51, dtype=torch.uint8).expand(2, 3, 1, 6)
    text = torch.ones(2, 4, dtype=torch.int64)
    batch = {"image": image, "wrong_image": image, "text": text, "wrong_text": text}
    batch["flip"] = torch.tensor([True, False])
    moved = folder(tmp_path).on_after_batch_transfer(dict(batch), 0)
    line = torch.linspace(-1, 1, 6)
    for name in ("image", "wrong_image"):
        torch.testing.assert_close(moved[name][:, 0, 0], torch.stack([line.flip(0), line]))
    assert torch.equal(moved["wrong_text"], text)
    assert "flip" not in moved


def test_mistakes_are_reported(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data.root=FOLDER says where it is"):
        folder(tmp_path / "none").source("train")
    write(tmp_path, "a/1.png", "a/1.txt")
    write(tmp_path, "b/2.png", "b/2.txt")
    with pytest.raises(ValueError, match="0 for train, 0 for val, 2 for test"):
        folder(tmp_path, test_fraction=0.999).source("train")
    with pytest.raises(ValueError, match="text_length=0 must be at least 1"):
        folder(tmp_path, text_length=0)
    with pytest.raises(ValueError, match="encoding=latin-one is not an encoding"):
        folder(tmp_path, encoding="latin-one")
    write(tmp_path, "a/3.png", "a/3.txt", captions=" \n")
    with pytest.raises(ValueError, match=r"3.txt contains no captions in the alphabet"):
        folder(tmp_path).source("train")
    write(tmp_path, "a/4.png")
    with pytest.raises(ValueError, match=r"4.png has no captions: add 4.txt to"):
        folder(tmp_path).source("train")
    (tmp_path / "a/4.png").unlink()
    (tmp_path / "a/3.txt").unlink()
    (tmp_path / "b/3.txt").write_text("the only text of that name is taken")
    assert folder(tmp_path).source("train")[torch.arange(3)]["label"].tolist() == [0, 1, 1]
