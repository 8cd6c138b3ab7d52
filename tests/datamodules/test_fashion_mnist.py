import struct

import pytest
import torch

from datamodules.fashion_mnist import FashionMNIST


def write(file, values, shape):
    """An idx file of bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(struct.pack(f">i{len(shape)}i", 0x800 + len(shape), *shape) + bytes(values))


def test_images_and_labels_are_those_on_disk(tmp_path):
    raw = tmp_path / "FashionMNIST" / "raw"
    for part, count in (("train", 12), ("t10k", 5)):
        pixels = [number for number in range(count) for _ in range(28 * 28)]
        write(raw / f"{part}-images-idx3-ubyte", pixels, (count, 28, 28))
        write(raw / f"{part}-labels-idx1-ubyte", [n % 10 for n in range(count)], (count,))
    data = FashionMNIST(root=str(tmp_path), val_count=2)
    batches = [next(iter(data.loader(split))) for split in ("train", "val", "test")]
    assert [len(batch["image"]) for batch in batches] == [10, 2, 5]
    for batch in batches:
        assert batch["image"].shape[1:] == (1, 28, 28)
        assert torch.equal(batch["image"][:, 0, 5, 5] % 10, batch["label"])


def test_it_is_not_taken_for_mnist(tmp_path):
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="FashionMNIST/raw"):
        FashionMNIST(root=str(tmp_path)).setup()
