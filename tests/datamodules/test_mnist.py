import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from datamodules.fashion_mnist import FashionMNIST
from datamodules.mnist import MNIST


def write_idx(folder, part, images, labels):
    """torchvision's layout: big-endian idx files of bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        header = struct.pack(f">i{array.ndim}i", 0x800 + array.ndim, *array.shape)
        (folder / f"{part}-{kind}-ubyte").write_bytes(header + array.astype(np.uint8).tobytes())


def write_set(root, name):
    """20 train and 7 test images in `root`; image i is full of i, its label is i % 10."""
    for part, count in (("train", 20), ("t10k", 7)):
        numbers = np.arange(count)
        images = np.broadcast_to(numbers[:, None, None], (count, 28, 28))
        write_idx(root / name / "raw", part, images, numbers % 10)


def test_images_and_labels_are_those_on_disk(tmp_path):
    write_set(tmp_path, "MNIST")
    data = MNIST(root=str(tmp_path), val_count=4)
    batches = [next(iter(data.loader(split))) for split in ("train", "val", "test")]
    assert [len(batch["image"]) for batch in batches] == [16, 4, 7]
    for batch in batches:
        assert batch["image"].shape[1:] == (1, 28, 28)
        assert torch.equal(batch["image"][:, 0, 5, 5] % 10, batch["label"])


def test_a_missing_set_is_a_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"MNIST/raw.*download=true") as error:
        MNIST(root=str(tmp_path)).setup()
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("folder", [".", "MNIST", "MNIST/raw"])
@pytest.mark.parametrize("dotted", [True, False])
def test_the_files_are_read_as_they_are_distributed(folder, dotted, tmp_path):
    """Packed, in a folder that cannot be written, under either of the names in use."""
    write_set(tmp_path / "unpacked", "MNIST")
    place = tmp_path / "packed" / folder
    place.mkdir(parents=True)
    for file in (tmp_path / "unpacked/MNIST/raw").iterdir():
        name = file.name.replace("-idx", ".idx") if dotted else file.name
        (place / f"{name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    before = sorted(tmp_path.rglob("*"))
    place.chmod(0o555)
    data = MNIST(root=str(tmp_path / "packed"), val_count=4, download=True)
    data.prepare_data()
    data.setup()
    assert [len(data.source(split)) for split in ("train", "val", "test")] == [16, 4, 7]
    assert data.source("test")[torch.tensor([5])]["label"].tolist() == [5]
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unpacked_file_is_taken_before_a_packed_one(tmp_path):
    write_set(tmp_path, "MNIST")
    for file in (tmp_path / "MNIST/raw").iterdir():
        file.with_name(f"{file.name}.gz").write_bytes(b"never read")
    assert len(MNIST(root=str(tmp_path), val_count=4).source("test")) == 7


def test_files_of_the_other_set_are_refused(tmp_path, monkeypatch):
    """The names are the same: they are told apart by the sums that torchvision knows."""
    write_idx(tmp_path, "t10k", np.zeros((7, 28, 28)), np.arange(7))
    content = (tmp_path / "t10k-labels-idx1-ubyte").read_bytes()
    resources = [("t10k-labels-idx1-ubyte.gz", hashlib.md5(content).hexdigest())]
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    assert len(MNIST(root=str(tmp_path)).source("test")) == 7
    with pytest.raises(ValueError, match="labels-idx1-ubyte is a file of MNIST, not FashionMNIST"):
        FashionMNIST(root=str(tmp_path)).source("test")


def test_missing_files_are_fetched(tmp_path, monkeypatch):
    write_set(tmp_path, "MNIST")
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    calls = []
    monkeypatch.setattr(MNIST, "dataset", lambda self, *split, **settings: calls.append(settings))
    MNIST(root=str(tmp_path)).prepare_data()
    assert not calls
    MNIST(root=str(tmp_path), download=True).prepare_data()
    assert {"download": True} in calls


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no gzip", "is damaged"),
        (gzip.compress(bytes(8000))[:-20], "is damaged"),
        (gzip.compress(b"\0\0\x08\x03"), "not an idx file of bytes with 1 dimension"),
        (gzip.compress(b""), "not an idx file"),
        (gzip.compress(struct.pack(">ii", 0x801, 7) + bytes(6)), "it contains 6 bytes, not 7"),
        (gzip.compress(struct.pack(">ii", 0x801, 6) + bytes(6)), "7 images, .* 6 labels"),
    ],
    ids=["no gzip", "cut", "no header", "empty", "short", "fewer labels"],
)
def test_damaged_files_are_named(content, message, tmp_path):
    write_set(tmp_path, "MNIST")
    file = tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte"
    file.unlink()
    file.with_name(f"{file.name}.gz").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        MNIST(root=str(tmp_path)).load("test")
    assert f"{file.name}.gz" in str(error.value)


@pytest.mark.skipif("ZOO_TEST_DATA" not in os.environ, reason="ZOO_TEST_DATA holds no mnist/")
def test_the_real_set():
    packed = Path(os.environ["ZOO_TEST_DATA"], "mnist")
    if not packed.is_dir():
        pytest.skip(f"there is no {packed}")
    data = MNIST(root=str(packed), image_size=32)
    batch = next(iter(data.loader("test", batch_size=10)))
    assert [len(data.source(split)) for split in ("train", "val", "test")] == [50000, 10000, 10000]
    assert batch["label"].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert batch["image"].shape == (10, 1, 32, 32)
