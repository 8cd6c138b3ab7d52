import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

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


@pytest.mark.skipif("ZOO_TEST_DATA" not in os.environ, reason="ZOO_TEST_DATA holds no mnist/")
def test_the_real_set(tmp_path):
    packed = Path(os.environ["ZOO_TEST_DATA"], "mnist")
    if not packed.is_dir():
        pytest.skip(f"there is no {packed}")
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in packed.glob("*.gz"):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    data = MNIST(root=str(tmp_path), image_size=32)
    batch = next(iter(data.loader("test", batch_size=10)))
    assert [len(data.source(split)) for split in ("train", "val", "test")] == [50000, 10000, 10000]
    assert batch["label"].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert batch["image"].shape == (10, 1, 32, 32)
