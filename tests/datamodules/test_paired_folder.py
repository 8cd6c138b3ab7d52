"""Pairs from files: which half is which, what is for testing, one cut for both."""

import pytest
import torch

from datamodules.paired_folder import PairedFolder
from zoo.images import save_png

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
    with pytest.raises(ValueError, match="no pair for train/0"):
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


def test_grey_images_and_other_sizes(tmp_path):
    beside(tmp_path, range(3))
    data = data_of(tmp_path, image_size=4, load_size=4, image_channels=1)
    batch = whole(data, "train")
    assert batch["image"].shape == (3, 1, 4, 4)
    assert batch["source"].shape == (3, 3, 4, 4)


def test_mistakes_are_told(tmp_path):
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
