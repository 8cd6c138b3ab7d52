"""One pass of an extractor over images: features, from which every metric is computed."""

import inspect
import uuid
from functools import cached_property
from itertools import chain, zip_longest

import torch
from torch import Tensor

import zoo
from datamodules.loader import KeyedLoader, shuffled
from datamodules.sources import Part
from zoo.metrics.cache import cached, fingerprint
from zoo.metrics.frechet import Moments
from zoo.metrics.processes import everyones, place, together, woven
from zoo.sample import CHUNK, draw_chunk

MOST_REAL = 50_000  # images that stand for a set of real ones, as in the papers


class Features:
    """Features `values` (N, F), float32 on the CPU, of one set of images.

    key: a hash of all that they depend on.
    """

    def __init__(self, values: Tensor, key: str):
        self.values = values
        self.key = key

    def __len__(self):
        return len(self.values)

    @cached_property
    def moments(self) -> Moments:
        return Moments.of(self.values)

    @cached_property
    def reference_moments(self) -> Moments:
        """The moments with their root, which are kept on disk."""
        kept = cached("moments", self.key, self._with_root)
        return Moments(self.values.shape[1], **kept)

    def _with_root(self):
        return {"state": self.moments.state, "root": self.moments.root}


def of_images(extractor, source, workers=0, advance=lambda count: None) -> Features:
    """Features of the images of a source (see datamodules/sources.py), on every process.

    Of more than MOST_REAL images so many are taken, always the same. The features are kept on disk
    under a hash of the pixels. advance: is told the number of images as they are done.
    """
    if len(source) > MOST_REAL:
        source = Part(source, shuffled(len(source), "reference")[:MOST_REAL].sort().values)
    rank, world_size = place()
    loader = KeyedLoader(source, CHUNK, rank=rank, world_size=world_size, workers=workers)
    batches = (batch["image"] for batch in loader)
    chunks = ((fingerprint(images), lambda images=images: images) for images in batches)
    return collect(extractor, chunks, len(source), advance)


def of_samples(
    extractor, model, count, seed, raw, keep=False, advance=lambda count: None
) -> Features:
    """Features of `count` samples of a model, on every process; see `zoo.sample.draw`.

    raw: makes of samples what the extractor takes, see ImageDataModule. keep: on disk, under a
    hash of the model.
    """
    rank, world_size = place()
    starts = list(enumerate(range(0, count, CHUNK)))[rank::world_size]

    def chunks():
        origin = identity(model) if keep else ""
        for chunk, start in starts:
            size = min(CHUNK, count - start)
            key = fingerprint(origin, seed, chunk, size)
            yield key, lambda chunk=chunk, size=size: raw(draw_chunk(model, seed, chunk, size))

    with model.evaluating():
        return collect(extractor, chunks(), count, advance, keep)


def collect(extractor, chunks, count, advance, keep=True) -> Features:
    """Features of `count` images, of which this process has `chunks`: (key, what gives it)."""

    def extract_all():
        by = identity(extractor)
        done = []
        for key, images in chunks:
            key = fingerprint(by, key)
            done.append((key, extract(extractor, images, key if keep else None)))
            advance(len(done[-1][1]))
        return done

    done = together(extract_all)  # an image that one process cannot read stops them all
    sizes = [min(CHUNK, count - start) for start in range(0, count, CHUNK)]
    values = woven([features for _, features in done], sizes, device_of(extractor))
    keys = zip_longest(*everyones([key for key, _ in done]))
    return Features(values, fingerprint(list(chain.from_iterable(keys))))


@torch.no_grad()
def extract(extractor, images, key) -> Tensor:
    """Features (N, F) of what `images()` gives, or those kept on disk under the key."""

    def compute():
        features = extractor(images().to(device_of(extractor))).flatten(1).float().cpu()
        if not features.isfinite().all():
            raise ValueError(f"the features of {extractor.name} hold NaN or infinity")
        return {"features": features}

    return (cached("features", key, compute) if key else compute())["features"]


def identity(module) -> str:
    """A hash of what a module computes: its code, its settings and its weights."""
    try:
        code = inspect.getsource(type(module))
    except (OSError, TypeError):
        code = uuid.uuid4().hex  # unknown: nothing that it computed is ever taken again
    plain = {k: v for k, v in vars(module).items() if isinstance(v, str | int | float | bool)}
    settings = [str(plain), str(getattr(module, "hparams", "")), str(device_of(module).type)]
    settings += [zoo.__version__, torch.__version__]
    state = chain.from_iterable(module.state_dict().items())
    return fingerprint(str(type(module)), code, str(module), *settings, *state)


def device_of(module) -> torch.device:
    return next(module.parameters(), torch.zeros(0)).device
