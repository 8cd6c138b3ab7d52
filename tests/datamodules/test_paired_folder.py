"""Pairs from files: which half is which, what is for testing, one cut for both."""

import pytest
import torch
from PIL import Image

from datamodules.paired_folder import PairedFolder
from zoo.media.images import save_png

SIDE = 8


def image(number, channels=3, side=SIDE):
    """Unlike any other: a gradient along the rows, and the number as its blue."""
    pixels = torch.zeros(channels, side, side, dtype=torch.uint8)
    pixels[0] = torch.arange(side) * 20
    pixels[-1] = number
    return pixels


def beside(folder, numbers):
    """A of the blue n beside B of the blue 100 + n."""
    for n in numbers:
        save_png(torch.cat([image(n), image(100 + n)], dim=2), folder / f"{n:03d}.png")


def data_of(root, **settings):
    shape = {"image_size": SIDE, "load_size": SIDE, "workers": 0, "flip": False}
    fractions = {"val_fraction": 0.0, "test_fraction": 0.0}
    return PairedFolder(root=str(root), **shape | fractions | settings)


def whole(data, split):
    source = data.source(split)
    return source[torch.arange(len(source))]


def blues(batch):
    return [batch[name][:, 2, 0, 0].tolist() for name in ("source", "image")]


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_a_is_the_left_half(direction, tmp_path):
    beside(tmp_path, range(10))
    data = data_of(tmp_path, direction=direction)
    source, target = blues(whole(data, "train"))
    if direction == "BtoA":
        source, target = target, source
    assert max(source) < 10
    assert target == [100 + n for n in source]
    assert torch.equal(whole(data, "train")["source"][0, 0], image(0)[0])


def test_two_folders_are_paired_by_name(tmp_path):
    for n in range(4):
        for side, number in (("A", n), ("B", 100 + n)):
            split = "test" if n == 3 else "train"
            save_png(image(number), tmp_path / side / split / f"{n}.png")
    data = data_of(tmp_path)
    assert blues(whole(data, "train")) == [[0, 1, 2], [100, 101, 102]]
    assert blues(whole(data, "test")) == [[3], [103]]
    (tmp_path / "A/train/0.png").unlink()
    with pytest.raises(ValueError, match=r"1 of 7 images .*no partner, such as .*B/train/0.png"):
        data_of(tmp_path).source("train")


@pytest.mark.parametrize(
    "layout",
    ["{side}/{split}/{n}", "{split}/{side}/{n}", "{split}{side}/{n}_{side}", "{split}_{side}/{n}"],
)
def test_common_layouts_of_two_folders(layout, tmp_path):
    for split, numbers in (("train", [0, 1]), ("test", [2]), ("val", [3])):
        for n in numbers:
            for side, number in (("A", n), ("B", 100 + n)):
                name = layout.format(side=side, split=split, n=n)
                save_png(image(number), tmp_path / f"{name}.png")
    data = data_of(tmp_path)
    assert blues(whole(data, "train")) == [[0, 1], [100, 101]]
    assert blues(whole(data, "test")) == [[2], [102]]
    assert blues(whole(data, "val")) == [[3], [103]]
    swapped = data_of(tmp_path, direction="BtoA")
    assert blues(whole(swapped, "test")) == [[102], [2]]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["A/1", "B/1", "1"], r"1 of 3 images in .*no partner, such as .*/1.png"),
        (["trainA/1", "testB/1"], r"2 of 2 images in .*no partner"),
        (["A/1", "A/1_A", "B/1"], r"A/1_A.png and 1.png are the same side"),
        (["A/B/1", "B/1"], r"A/B/1.png is in a folder A and in a folder B"),
    ],
)
def test_files_that_are_no_pairs_are_refused(names, message, tmp_path):
    for name in names:
        save_png(image(0), tmp_path / f"{name}.png")
    with pytest.raises(ValueError, match=message):
        data_of(tmp_path).source("train")


def test_files_that_hold_no_pair_are_not_cut_in_half(tmp_path):
    """Two folders of single images, say, that are not called A and B."""
    beside(tmp_path, range(4))
    for n in range(3):
        save_png(image(n), tmp_path / "input" / f"{n}.png")
    with pytest.raises(ValueError, match=r"3 of 7 images, such as .*input/0.png of 8x8, cannot be"):
        data_of(tmp_path).source("train")
    with pytest.raises(
        ValueError, match=r"twice as wide as high\. Or put two files of the same name"
    ):
        data_of(tmp_path / "input").source("train")


def test_halves_may_have_any_shape_if_allowed(tmp_path):
    wide = torch.cat([image(7), image(107)], dim=2)[:, :4]
    save_png(wide, tmp_path / "1.png")
    with pytest.raises(ValueError, match=r"16x4, cannot be .*data.any_shape=true cuts"):
        data_of(tmp_path, test_fraction=0.0, val_fraction=0.0).source("train")
    data = data_of(tmp_path, test_fraction=0.0, val_fraction=0.0, any_shape=True)
    assert blues(whole(data, "train")) == [[7], [107]]
    save_png(wide[:, :, 1:], tmp_path / "2.png")
    with pytest.raises(ValueError, match=r"2.png of 15x4, .* must have an even width"):
        data_of(tmp_path, any_shape=True).source("train")


def test_images_of_a_pair_are_upright(tmp_path):
    """A file of both that EXIF turns by a quarter is stored twice as high as wide."""
    stored = torch.cat([image(7), image(107)], dim=2).flip(2).mT.contiguous()
    turned = Image.Exif()
    turned[0x0112] = 6
    (tmp_path / "both").mkdir()
    pil = Image.fromarray(stored.permute(1, 2, 0).numpy())
    pil.save(tmp_path / "both/1.png", exif=turned)
    data = data_of(tmp_path / "both", test_fraction=0.0, val_fraction=0.0)
    assert torch.equal(whole(data, "train")["source"][0], image(7))
    assert torch.equal(whole(data, "train")["image"][0], image(107))


def test_pairs_of_other_shapes_are_reported(tmp_path):
    for n in range(3):
        save_png(image(n), tmp_path / "A" / f"{n}.png")
        save_png(image(n, side=2 * SIDE)[:, : SIDE if n else None], tmp_path / "B" / f"{n}.png")
    with pytest.warns(UserWarning, match=r"2 of 3 pairs, such as .*1.png, .* different shapes"):
        data_of(tmp_path).source("train")


def test_the_folders_say_what_is_for_testing(tmp_path):
    for name, numbers in (("train", [0, 1]), ("val", [2]), ("test", [3, 4])):
        beside(tmp_path / name, numbers)
    data = data_of(tmp_path)
    assert blues(whole(data, "train"))[0] == [0, 1]
    assert blues(whole(data, "test"))[0] == [3, 4]
    assert blues(whole(data, "val"))[0] == [2]
    for file in (tmp_path / "test").iterdir():
        file.unlink()
    assert blues(whole(data_of(tmp_path), "test"))[0] == [2]
    cut = data_of(tmp_path, val_fraction=0.1, test_fraction=0.1)
    assert [len(cut.source(split)) for split in ("train", "val", "test")] == [1, 1, 1]


def test_both_images_of_a_pair_are_cut_at_one_place_anew_in_each_epoch(tmp_path):
    beside(tmp_path, range(20))
    data = data_of(tmp_path, load_size=SIDE + 4)
    loader = data.training_loader(batch_size=20, seed=0)
    epochs = [next(iter(loader)) for _ in range(2)]
    corners = []
    for batch in epochs:
        assert batch["image"].shape == batch["source"].shape == (20, 3, SIDE, SIDE)
        assert torch.equal(batch["image"][:, 0], batch["source"][:, 0]), (
            "their first channel is one"
        )
        order = batch["index"].argsort()
        corners.append(batch["image"][order, 0, 0, 0].tolist())
    assert len(set(corners[0])) > 2
    assert corners[0] != corners[1]
    again = data_of(tmp_path, load_size=SIDE + 4)
    repeated = next(iter(again.training_loader(batch_size=20, seed=0)))
    assert torch.equal(repeated["image"], epochs[0]["image"])


def test_processes_share_the_places_of_one(tmp_path):
    beside(tmp_path, range(8))
    data = data_of(tmp_path, load_size=SIDE + 4)
    one = next(iter(data.training_loader(batch_size=8, seed=0)))["image"]
    for rank in range(2):
        shared = data.training_loader(batch_size=4, seed=0, rank=rank, world_size=2)
        assert torch.equal(next(iter(shared))["image"], one[rank::2])


def test_gray_images_and_other_sizes(tmp_path):
    beside(tmp_path, range(3))
    data = data_of(tmp_path, image_size=4, load_size=4, image_channels=1)
    batch = whole(data, "train")
    assert batch["image"].shape == (3, 1, 4, 4)
    assert batch["source"].shape == (3, 3, 4, 4)


def test_mistakes_are_reported(tmp_path):
    with pytest.raises(ValueError, match="direction=both: it must be AtoB or BtoA"):
        PairedFolder(direction="both")
    with pytest.raises(ValueError, match="load_size=200 must be at least image_size=256"):
        PairedFolder(load_size=200)
    with pytest.raises(FileNotFoundError, match=r"data\.root=FOLDER says where it is"):
        data_of(tmp_path).source("train")
    beside(tmp_path, range(2))
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"broken\.png"):
        data_of(tmp_path).source("train")
