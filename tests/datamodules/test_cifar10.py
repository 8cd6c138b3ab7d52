import pickle

import numpy as np
import pytest
import torch
from torchvision import datasets

from datamodules.cifar10 import CIFAR10


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Four images a file: image i has red i, green 100 + i, blue 200 + i; label i % 10."""
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: True)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    names = [name for name, _ in datasets.CIFAR10.train_list + datasets.CIFAR10.test_list]
    for number, name in enumerate(names):
        images = np.arange(4 * number, 4 * number + 4)
        colors = (images[:, None] + [0, 100, 200]).repeat(32 * 32, axis=1).astype(np.uint8)
        entry = {"data": colors, "labels": (images % 10).tolist()}
        (folder / name).write_bytes(pickle.dumps(entry))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    return str(tmp_path)


def test_images_and_labels_are_those_on_disk(root):
    data = CIFAR10(root=root, val_count=0)
    train, test = (next(iter(data.loader(split))) for split in ("train", "test"))
    assert train["image"].shape == (20, 3, 32, 32)
    assert test["image"][:, :, 3, 5].tolist() == [[i, 100 + i, 200 + i] for i in range(20, 24)]
    assert torch.equal(train["image"][:, 0, 0, 0] % 10, train["label"])


def test_training_images_are_flipped_only_if_asked(root):
    assert "flip" not in next(
        iter(CIFAR10(root=root, val_count=4, batch_size=4).train_dataloader())
    )
    flipped = CIFAR10(root=root, val_count=4, batch_size=4, flip=True)
    assert "flip" in next(iter(flipped.train_dataloader()))


def test_a_missing_set_is_a_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cifar-10-batches-py.*download=true"):
        CIFAR10(root=str(tmp_path)).setup()
