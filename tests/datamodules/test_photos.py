"""Crops of photographs: no pixel in training and test, and where each is from."""

import pytest
import torch
from skimage import data as photographs

from datamodules.photos import NAMES, Photos, crops, photo_parts


def whole(data, split):
    source = data.source(split)
    return source[torch.arange(len(source))]


def test_splits_and_shapes():
    data = Photos()
    sizes = [len(data.source(split)) for split in ("train", "val", "test")]
    assert sizes == [13288, 500, 264]
    batch = whole(data, "test")
    assert batch["image"].shape == (264, 1, 32, 32)
    assert batch["image"].dtype == torch.uint8
    assert batch["label"].unique().tolist() == list(range(len(NAMES)))


def test_the_parts_of_a_photograph_share_no_pixel():
    """The third one, by the weights of red, green and blue that torchvision has."""
    red, green, blue = torch.tensor(photographs.astronaut()).double().unbind(-1)
    grey = 0.2989 * red + 0.587 * green + 0.114 * blue
    train, test = (photo_parts(split, shrink=1)[2] for split in ("train", "test"))
    assert (train.shape, test.shape) == ((512, 358), (512, 154))
    assert (torch.cat([train, test], dim=1) - grey).abs().max() < 1


def test_shrinking_averages():
    for one, third in zip(photo_parts("test", 1), photo_parts("test", 3), strict=True):
        assert third.shape == (one.shape[0] // 3, one.shape[1] // 3)
        assert third.double().mean().item() == pytest.approx(one.double().mean().item(), abs=1)


def test_crops_are_cut_at_every_place_of_a_stride():
    pixels = torch.arange(35).view(5, 7)
    cut = crops(pixels, 3, 2)
    assert cut[:, 0, 0].tolist() == [0, 2, 4, 14, 16, 18]
    assert torch.equal(cut[1], pixels[:3, 2:5])


def test_images_are_pieces_of_the_photograph_that_their_label_names():
    batch = whole(Photos(), "test")
    for label, part in enumerate(photo_parts("test", 3)):
        found = crops(part, 32, 8)
        assert torch.equal(batch["image"][batch["label"] == label][:, 0], found)


def test_training_images_are_turned_and_test_images_are_not():
    upright, turned = Photos(val_count=0, stride=16), Photos(val_count=0, stride=16, turned=True)
    assert len(turned.source("train")) == 4 * len(upright.source("train"))
    assert torch.equal(whole(turned, "test")["image"], whole(upright, "test")["image"])
    pixels = photo_parts("train", 3)[2]
    batch = whole(turned, "train")
    for turn, images in enumerate(batch["image"][batch["label"] == 2][:, 0].chunk(4)):
        assert torch.equal(images, crops(pixels.rot90(turn), 32, 16))


def test_images_larger_than_a_part_are_refused():
    with pytest.raises(ValueError, match=r"data\.image_size=64 must be at most 45"):
        Photos(image_size=64)
