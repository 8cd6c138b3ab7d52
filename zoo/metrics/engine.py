"""What is compared with what: the two sides of an evaluation, and the pass over both."""

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from datamodules.base import ImageDataModule
from datamodules.loader import shuffled
from datamodules.sources import Part, stored_images
from zoo.checkpoints import load_data, load_on, new_data
from zoo.config import checked
from zoo.errors import UserError
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.features import of_images, of_samples
from zoo.metrics.measure import measure
from zoo.metrics.processes import place


@dataclass
class Real:
    """Real images: the sources of two splits, and what their data say of them."""

    name: str
    train: object
    test: object = None
    raw: object = ImageDataModule.raw
    extractor: object = ImageDataModule.extractor
    measure: object = lambda features: {}
    workers: int = 0


def launched(accelerator, devices):
    """Lightning's Fabric, with its processes started."""
    try:
        fabric = Fabric(accelerator=accelerator, devices=devices)
    except Exception as error:  # as many kinds as there are settings
        raise UserError(f"accelerator={accelerator} devices={devices}: {error}") from error
    fabric.launch()
    return fabric


def open_real(checkpoint, data, reference):
    """The Real images to compare with."""
    if reference is not None:
        return Real(reference, stored_images(reference))
    module = new_data(data) if "_target_" in (data or {}) else load_data(checkpoint, data)
    module.prepare_data()
    return Real(
        f"{module.name}, train",
        module.source("train"),
        module.source("test"),
        module.raw,
        module.extractor,
        module.measure,
        module.hparams.get("workers", 0),
    )


def open_extractor(node, default):
    """The extractor of the settings, or else the default."""
    return load_extractor(checked({"_target_": default} | node, "extractor") if node else default)


def samples(checkpoint, count, seed, real, device):
    """What gives the features of a model's samples when it is called with an extractor."""
    model = load_on(checkpoint, device)
    size = model.hparams.get("image_size")
    check_size((size, size), real)
    return partial(of_samples, model=model, count=count, seed=seed, raw=real.raw, keep=True)


def images(path, count, real):
    """How many images these are, and what gives their features when called with an extractor.

    `count` of them, always the same, or all.
    """
    source = stored_images(path)
    check_size(size_of(source), real)
    if count is not None and count > len(source):
        raise UserError(f"count={count}, but {path} holds {len(source)} images.")
    if count is not None:
        source = Part(source, shuffled(len(source), "count")[:count].sort().values)
    return len(source), partial(of_images, source=source)


def check_size(size, real):
    """UserError unless the images (H, W) are as large as the real ones."""
    if None not in size and size != size_of(real.train):
        raise UserError(
            f"The images are {size[0]}x{size[1]}, those of {real.name} "
            f"{'x'.join(map(str, size_of(real.train)))}: numbers across sizes mean nothing. "
            "data.image_size=... brings data to a size."
        )


def size_of(source):
    """(H, W) of the first image of a source."""
    return tuple(source[torch.tensor([0])]["image"].shape[-2:])


def compare(extractor, real, subject, count, metrics, seed):
    """{name: number} of a subject, and of the real test images, against the real ones."""
    with bars() as bar:
        train = of_images(extractor, real.train, real.workers, bar("real", len(real.train)))
        fake = subject(extractor, advance=bar("measured", count))
        if real.test:
            test = of_images(extractor, real.test, real.workers, bar("test", len(real.test)))
    numbers = measure(metrics, train, fake, extractor, seed, real.measure)
    if real.test:
        floor = measure(metrics, train, test, extractor, seed, real.measure)
        numbers |= {f"real_{name}": value for name, value in floor.items()}
    return numbers


@contextmanager
def bars():
    """Gives bar(name, total), a function to advance a new bar by; process 0 shows its own."""
    rank, world_size = place()
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    console = Console(file=sys.stderr)
    disabled = rank > 0 or not console.is_terminal
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=disabled) as progress:

        def bar(name, total):
            task = progress.add_task(name, total=total)
            return lambda count: progress.advance(task, count * world_size)

        yield bar
