"""Measure the loading of images, 32x32 from memory and 128x128 from JPEG: python -m benchmarks.data

From memory, the zoo is compared with a Dataset of PIL images and torchvision's transforms
(plain_loops.py); both return floats in [-1, 1]. From JPEG files, it is compared with a loop that
only decodes them; both return uint8 and run without workers. One thread, in alternation, medians.
"""

import statistics
import tempfile
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from benchmarks import plain_loops
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


def rate(batches: Iterable, count: int) -> float:
    """Measure the images per second of a loader.

    Args:
        batches: The loader.
        count: Number of batches that are measured, after a first one that is not.
    """
    iterator = iter(batches)
    next(iterator)
    started = now()
    taken = sum(1 for _ in islice(iterator, count))
    return BATCH * taken / (now() - started)


def from_memory() -> tuple[float, float]:
    """Return the images per second of the plain loader and of the zoo, from memory."""
    data = Noise()
    images = data.source("train")[torch.arange(10_000)]["image"]
    batches = (data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader())
    return rate(plain_loops.batches(images, BATCH), BATCHES // 4), rate(batches, BATCHES)


def from_files(folder: str) -> tuple[float, float]:
    """Measure the reading of JPEG files.

    Args:
        folder: Contains the files.

    Returns:
        Images per second of a loop that only decodes, and of the zoo.
    """
    data = ImageFolder(BATCH, image_size=SIDE, workers=0, root=folder, test_fraction=0.0)
    loader, names = data.train_dataloader(), sorted(Path(folder).iterdir())
    zoo_rate = rate(loader, FILES // BATCH - 1)
    started = now()
    for name in names:
        with Image.open(name) as image:
            image.convert("RGB")
    return len(names) / (now() - started), zoo_rate


def main() -> None:
    """Print a table of images per second."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        generator = torch.Generator().manual_seed(0)
        for number in range(FILES):
            pixels = torch.randint(256, (SIDE, SIDE, 3), generator=generator, dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(Path(folder, f"{number}.jpg"))
        print("| | plain loop, images/s | zoo, images/s | speedup |\n|---|---|---|---|")
        for name, measure in (("memory", from_memory), ("JPEG", lambda: from_files(folder))):
            rounds = [measure() for _ in range(ROUNDS)]
            plain_rate, zoo_rate = map(statistics.median, zip(*rounds, strict=True))
            speedup = statistics.median(fast / plain for plain, fast in rounds)
            print(f"| {name} | {plain_rate:,.0f} | {zoo_rate:,.0f} | {speedup:.2f} |")


if __name__ == "__main__":
    main()
