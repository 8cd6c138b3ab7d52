from functools import partial

import pytest
import torch
from rich.progress import Progress

from datamodules.loading.sources import InMemoryImages
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.features import image_features
from zoo.runs import comparison, progress_bars, real_images, subjects


def noise(seed, count):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, 1, 4, 4), generator=generator, dtype=torch.uint8)
    return InMemoryImages(images, torch.full((count,), -1))


@pytest.fixture
def bars(monkeypatch):
    """[name, total, completed] of the bars that are shown."""
    shown = []

    def add_task(self, name, total):
        shown.append([name, total, 0])
        return len(shown) - 1

    def advance(self, task, count):
        shown[task][2] += count

    monkeypatch.setattr(Progress, "add_task", add_task)
    monkeypatch.setattr(Progress, "advance", advance)
    return shown


def test_work_that_the_processes_divide_counts_for_all(bars, monkeypatch):
    monkeypatch.setattr(progress_bars, "rank_and_world_size", lambda: (0, 4))
    with progress_bars.progress_bars() as bar:
        bar("images", 400)(100)
        bar("prdc", 6, divided=False)(6)
    assert bars == [["images", 400, 400], ["prdc", 6, 6]]


def test_an_evaluation_shows_the_progress_of_its_slow_metric(bars, monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    real = real_images.RealImages("noise", noise(0, 40), noise(1, 20))
    subject = subjects.Subject(30, partial(image_features, source=noise(2, 30)))
    comparison.compare(load_extractor("pixels"), real, subject, ("prdc",), seed=0)
    assert sorted(bars) == [
        ["measured", 30, 30],
        *[["prdc", 3, 3]] * 2,
        ["real", 40, 40],
        ["test", 20, 20],
    ]
