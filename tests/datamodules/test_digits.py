import torch
from sklearn.datasets import load_digits

from datamodules.digits import Digits


def everything(data, key="image"):
    splits = ("train", "val", "test")
    return torch.cat([batch[key] for split in splits for batch in data.loader(split)])


def test_the_splits_are_scikit_learns_images_each_once():
    data = Digits()
    assert [len(data.source(split)) for split in ("train", "val", "test")] == [1300, 137, 360]
    expected = (torch.from_numpy(load_digits().images) * 255 / 16).round().flatten(1)
    assert sorted(everything(data).flatten(1).tolist()) == sorted(expected.tolist())


def test_labels_belong_to_their_images():
    data, digits = Digits(), load_digits()
    known = {
        tuple(round(pixel * 255 / 16) for pixel in image.flatten()): label
        for image, label in zip(digits.images, digits.target, strict=True)
    }
    images, labels = everything(data).flatten(1).tolist(), everything(data, "label").tolist()
    assert [known[tuple(image)] for image in images] == labels


def test_the_test_images_are_the_same_for_ever():
    first = Digits(split_seed=5).source("test")[torch.arange(12)]["label"]
    assert first.tolist() == [1, 6, 5, 5, 8, 7, 7, 5, 7, 2, 3, 9]


def test_shape_is_available_before_loading():
    data = Digits()
    assert (data.name, data.image_size, data.image_channels, data.classes) == ("digits", 8, 1, 10)
