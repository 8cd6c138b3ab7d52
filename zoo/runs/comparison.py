"""What is compared with what: the two sides of an evaluation, and the pass over both."""

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from datamodules.base import DataModule
from datamodules.image import ImageDataModule
from datamodules.loading.sources import ImageFiles, InMemoryImages, load_stored_images
from zoo.config.composition import checked
from zoo.config.errors import UserError
from zoo.engine.distributed import local_rank_zero_first, on_all_ranks, rank_and_world_size
from zoo.engine.loader import Subset
from zoo.engine.seeds import keyed_permutation
from zoo.metrics.compute import floor, likelihood, measure, noise_of, own
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.features import first_images, of_images, of_samples, representative
from zoo.runs.checkpoints import load_data, load_model

Source = InMemoryImages | ImageFiles | Subset


@dataclass
class Real:
    """Real images: sources of a reference and of test images, and the data they are of."""

    name: str
    train: Source
    test: Source | None = None
    data: DataModule | None = None

    @property
    def origin(self):
        """What says how such images are measured: their data, or else images of any sort."""
        return self.data or ImageDataModule


def open_real(checkpoint, data, reference):
    """The Real images to compare with: a reference of at most MOST_REAL, and all test images."""
    if reference is not None:
        return Real(reference, representative(on_all_ranks(load_stored_images, reference)))
    module = load_data(checkpoint, data)
    local_rank_zero_first(module.prepare_data)
    train, test = (on_all_ranks(module.source, split) for split in ("train", "test"))
    return Real(f"{module.name}, train", representative(train), test, module)


def open_extractor(node, real):
    """The extractor of the settings, or else the one that the data name."""
    choice = real.origin.extractor
    if node:
        choice = checked({"_target_": choice} | node, "extractor").as_dict()
    if choice is None:
        raise UserError(f"{real.name} names no extractor: say extractor=NAME.")
    return load_extractor(choice)


def without_features(checkpoint, real, seed, device):
    """What a model has beside data that name no extractor: its likelihood, and its own numbers."""
    model = on_all_ranks(load_model, checkpoint).to(device)
    drawn = noise_of("test", seed)
    numbers = likelihood(model, real.data, "test", drawn) | own(model, real.data, "test", drawn)
    if not numbers:
        raise UserError(f"{real.name} names no extractor: say extractor=NAME.")
    protocol = {"reference": f"{len(real.test)} test samples of {real.data.name}", "seed": seed}
    return {"measured": checkpoint, "metrics": numbers, "protocol": protocol}


def samples(checkpoint, count, seed, real, device):
    """Their number, what gives the features of samples for an extractor, and their model."""
    model = load_model(checkpoint).to(device)
    side = model.hparams.get("image_size")
    check_size((side, side), real)
    noise = noise_of("test", seed)
    drawn = partial(of_samples, model=model, count=count, seed=noise, data=real.origin, keep=True)
    return count, drawn, model


def images(path, count, real):
    """Their number, what gives the features of stored images for an extractor, and no model.

    `count` of them, always the same, or all.
    """
    source = load_stored_images(path)
    check_size(size_of(source), real)
    if count is not None and count > len(source):
        raise UserError(f"count={count}, but {path} holds {len(source)} images.")
    if count is not None:
        source = Subset(source, keyed_permutation(len(source), "count")[:count].sort().values)
    return len(source), partial(of_images, source=source), None


def check_size(size, real):
    """UserError unless the images (H, W) are as large as the real ones."""
    if None not in size and size != size_of(real.train):
        raise UserError(
            f"The images are {size[0]}x{size[1]}, those of {real.name} "
            f"{'x'.join(map(str, size_of(real.train)))}: numbers across sizes mean nothing."
            + (" data.image_size=N brings data to a size, if they have one." if real.data else "")
        )


def size_of(source):
    """(H, W) of the first image of a source."""
    return tuple(first_images(source, 1).shape[-2:])


def compare(extractor, real, subject, count, metrics, seed, model=None):
    """{name: number} of a subject, and of the real test images, against the real ones.

    model: adds what only it has beside the real images' data (see GenerativeModule.measure).
    """
    seed = noise_of("test", seed)
    workers = real.data.hparams.get("workers", 0) if real.data else 0
    with bars() as bar:
        train = of_images(extractor, real.train, workers, bar("real", len(real.train)))
        fake = subject(extractor, advance=bar("measured", count))
        numbers = measure(metrics, train, fake, extractor, seed, real.data)
        if model is not None and real.data is not None:
            numbers |= likelihood(model, real.data, "test", seed) | own(
                model, real.data, "test", seed
            )
        if real.test:
            test = of_images(extractor, real.test, workers, bar("test", len(real.test)))
            numbers |= floor(metrics, train, test, extractor, count, seed, real.data)
    return numbers


@contextmanager
def bars():
    """Gives bar(name, total), a function to advance a new bar by; process 0 shows its own."""
    rank, world_size = rank_and_world_size()
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    console = Console(file=sys.stderr)
    disabled = rank > 0 or not console.is_terminal
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=disabled) as progress:

        def bar(name, total):
            task = progress.add_task(name, total=total)
            return lambda count: progress.advance(task, count * world_size)

        yield bar
