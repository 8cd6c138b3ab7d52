import numpy as np
import pytest
import scipy.io
import torch

from datamodules.svhn import SVHN


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Image i has red i, green 100 + i, blue 200 + i; digit i % 10, where zero is written 10."""
    monkeypatch.setattr("torchvision.datasets.svhn.check_integrity", lambda path, md5=None: True)
    for split, count in (("train", 23), ("test", 6)):
        images = np.zeros((32, 32, 3, count), dtype=np.uint8)
        images += np.array([0, 100, 200], dtype=np.uint8)[:, None]
        images += np.arange(count, dtype=np.uint8)
        digits = np.array([i % 10 or 10 for i in range(count)], dtype=np.uint8)[:, None]
        scipy.io.savemat(tmp_path / f"{split}_32x32.mat", {"X": images, "y": digits})
    return str(tmp_path)


def test_images_and_labels_are_those_on_disk(root):
    data = SVHN(root=root, val_count=3)
    train, test = (next(iter(data.loader(split))) for split in ("train", "test"))
    assert train["image"].shape == (20, 3, 32, 32)
    assert torch.equal(train["image"][:, 0, 0, 0] % 10, train["label"])
    assert test["image"][:, :, 9, 4].tolist() == [[i, 100 + i, 200 + i] for i in range(6)]


def test_a_missing_set_is_a_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"_32x32\.mat.*download=true"):
        SVHN(root=str(tmp_path)).setup()
