"""Batches of images, 32x32 from memory and 128x128 from JPEG files: python -m benchmarks.data

From memory beside a Dataset of PIL images with torchvision's transforms (see peers.py), both to
floats in [-1, 1]. From files, as uint8, beside a bare loop that decodes them, in this process: what
workers divide among them. One thread, alternating, medians.
"""

import statistics
import tempfile
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from benchmarks import peers
from benchmarks.clock import now
from datamodules.image import ImageDataModule
from datamodules.image_folder import ImageFolder

BATCH, BATCHES, ROUNDS = 64, 100, 5
FILES, SIDE = 640, 128


class Noise(ImageDataModule):
    """Random color images in memory."""

    def __init__(self, batch_size: int = BATCH, val_count: int = 0, split_seed: int = 0):
        super().__init__()
        self.image_size = 32

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(256, (10_000, 3, 32, 32), generator=generator, dtype=torch.uint8)
        return images, torch.zeros(len(images), dtype=torch.int64)


def rate(batches, count: int):
    """Images a second of so many batches, after one that is not counted."""
    batches = iter(batches)
    next(batches)
    started = now()
    taken = sum(1 for _ in islice(batches, count))
    return BATCH * taken / (now() - started)


def from_memory():
    """(images a second of the other loader, ours)"""
    data = Noise()
    images = data.source("train")[torch.arange(10_000)]["image"]
    mine = (data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader())
    return rate(peers.batches(images, BATCH), BATCHES // 4), rate(mine, BATCHES)


def from_files(folder: Path):
    """(images a second of a bare loop that decodes, ours)"""
    data = ImageFolder(BATCH, image_size=SIDE, workers=0, root=folder, test_fraction=0.0)
    loader, names = data.train_dataloader(), sorted(Path(folder).iterdir())
    mine = rate(loader, FILES // BATCH - 1)
    started = now()
    for name in names:
        with Image.open(name) as image:
            image.convert("RGB")
    return len(names) / (now() - started), mine


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        generator = torch.Generator().manual_seed(0)
        for number in range(FILES):
            pixels = torch.randint(256, (SIDE, SIDE, 3), generator=generator, dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(Path(folder, f"{number}.jpg"))
        print("| | plain loop, images/s | ours, images/s | ratio |\n|---|---|---|---|")
        for name, measure in (("memory", from_memory), ("JPEG", lambda: from_files(folder))):
            rounds = [measure() for _ in range(ROUNDS)]
            plain, ours = (statistics.median(column) for column in zip(*rounds, strict=True))
            ratio = statistics.median(ours / plain for plain, ours in rounds)
            print(f"| {name} | {plain:,.0f} | {ours:,.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
