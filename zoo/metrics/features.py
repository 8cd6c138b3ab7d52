"""Compute features of images in one pass, from which all metrics are computed."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from itertools import chain, zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from zoo.engine.conditions import conditions_of
from zoo.engine.distributed import all_gather_object, interleave, on_all_ranks, rank_and_world_size
from zoo.engine.loader import KeyedLoader, Subset
from zoo.engine.sampling import CHUNK, draw_chunk
from zoo.engine.seeds import keyed_permutation
from zoo.metrics.cache import cached, fingerprint
from zoo.metrics.cache_key import device_of, identity
from zoo.metrics.frechet import Moments
from zoo.metrics.sharpness import BANDS, Detail
from zoo.precision import exact_float32

DETAIL = Detail()
MAX_REFERENCE = 50_000  # number of reference images, as in the papers


class Features:
    """Features of one set of images.

    Args:
        values: (N, F), float32 on the CPU.
        key: A hash of everything they depend on, or None.
        detail: (N, 1 + BANDS), statistics of the pixels. See zoo.metrics.sharpness.
    """

    def __init__(self, values: Tensor, key: str | None, detail: Tensor | None = None):
        self.values = values
        self.key = key
        self.detail = torch.zeros(len(values), 1 + BANDS) if detail is None else detail

    def __len__(self) -> int:
        return len(self.values)

    def part(self, count: int) -> "Features":
        """Return a fixed selection of `count` images, or all if there are fewer."""
        if count >= len(self):
            return self
        chosen = keyed_permutation(len(self), "part")[:count].sort().values
        return Features(self.values[chosen], None, self.detail[chosen])

    @cached_property
    def moments(self) -> Moments:
        return Moments.of(self.values)

    @cached_property
    def reference_moments(self) -> Moments:
        """The moments and the root of the covariance, cached on disk."""
        if self.key is None:
            return self.moments
        kept = cached("moments", self.key, self._with_root)
        return Moments(self.values.shape[1], **kept)

    def _with_root(self):
        return {"state": self.moments.state, "root": self.moments.root}


def reference_images(source: Any) -> Any:
    """Return the source, or a fixed selection of MAX_REFERENCE images of a larger one."""
    if len(source) <= MAX_REFERENCE:
        return source
    return Subset(source, keyed_permutation(len(source), "reference")[:MAX_REFERENCE].sort().values)


def first_images(source: Any, count: int = 16) -> Tensor:
    """Return the first raw images of a source, to check what kind of images it has."""
    return source[torch.arange(min(count, len(source)))]["image"]


def image_features(
    extractor: nn.Module,
    source: Any,
    workers: int = 0,
    advance: Callable[[int], Any] = lambda count: None,
) -> Features:
    """Compute the features of a source's images, on every process.

    Args:
        extractor: The feature extractor.
        source: See datamodules/loading/sources.py. Features are cached on disk by a hash of the
            pixels.
        workers: Worker processes that read images.
        advance: Called with the number of images after each chunk.
    """
    rank, world_size = rank_and_world_size()
    loader = KeyedLoader(source, CHUNK, rank=rank, world_size=world_size, workers=workers)
    batches = (batch["image"] for batch in loader)
    chunks = ((fingerprint(images), lambda images=images: images) for images in batches)
    return collect(extractor, chunks, len(source), advance, keep=True)


def sample_features(
    extractor: nn.Module,
    model: Any,
    count: int,
    seed: int,
    data: Any,
    split: str = "test",
    keep: bool = False,
    advance: Callable[[int], Any] = lambda count: None,
) -> Features:
    """Compute the features of a model's samples, on every process. See zoo.engine.sampling.draw.

    Args:
        extractor: The feature extractor.
        model: The model.
        count: Number of samples.
        seed: Seed of the samples.
        data: A data module, whose `denormalize` returns what the extractor takes.
        split: Split of the data from which the model's conditions are taken.
        keep: Whether to cache features on disk, by a hash of the model.
        advance: Called with the number of images after each chunk.
    """
    rank, world_size = rank_and_world_size()
    starts = list(enumerate(range(0, count, CHUNK)))[rank::world_size]

    def chunks() -> Iterator[tuple[str, Callable[[], Tensor]]]:
        by = origin(model, data) if keep else None
        for chunk, start in starts:
            size = min(CHUNK, count - start)
            condition = conditions_of(model, data, size, start, split)
            key = fingerprint(by, seed, chunk, size, *(condition or {}).values())
            drawing = partial(draw_chunk, model, seed, chunk, size, condition)
            yield key, lambda drawing=drawing: data.denormalize(drawing())

    with model.evaluating():
        return collect(extractor, chunks(), count, advance, keep)


def origin(model: Any, data: Any) -> str:
    """Return a hash of all that samples depend on, except the seed and their index.

    Args:
        model: The model.
        data: A data module, or its class, which has no settings.
    """
    if isinstance(data, type):
        return identity(model, data)
    network = getattr(data, "network", None)  # with which the data convert samples
    parts = [identity(network)] if network else []
    return fingerprint(identity(model, type(data)), str(data.hparams), *parts)


def collect(
    extractor: nn.Module,
    chunks: Iterable[tuple[str, Callable[[], Tensor]]],
    count: int,
    advance: Callable[[int], Any],
    keep: bool,
) -> Features:
    """Compute features in chunks, and gather those of all processes.

    Args:
        extractor: The feature extractor.
        chunks: (key, function that returns uint8 images) of the chunks of this process.
        count: Number of images of all processes.
        advance: Called with the number of images after each chunk.
        keep: Whether to cache features on disk, by their keys.
    """

    def extract_all():
        by = identity_with_detail(extractor) if keep else None
        done = []
        for key, images in chunks:
            key = fingerprint(by, key) if keep else None
            done.append((key, extract(extractor, images, key)))
            advance(len(done[-1][1]["features"]))
        return done

    with exact_float32():
        done = on_all_ranks(extract_all)  # if one process cannot read an image, all raise
    sizes = [min(CHUNK, count - start) for start in range(0, count, CHUNK)]
    values, detail = (
        interleave([found[kind] for _, found in done], sizes, device_of(extractor))
        for kind in ("features", "detail")
    )
    if not keep:
        return Features(values, None, detail)
    in_turn = chain.from_iterable(zip_longest(*all_gather_object([key for key, _ in done])))
    return Features(values, fingerprint([key for key in in_turn if key]), detail)


def identity_with_detail(extractor: nn.Module) -> str:
    """Return a hash of what `extract` computes of images, the first part of its keys."""
    return fingerprint(identity(extractor), identity(DETAIL))


@torch.no_grad()
def extract(extractor: Any, images: Callable[[], Tensor], key: str | None) -> dict[str, Tensor]:
    """Return `features` (N, F) and `detail` of the images that `images()` returns.

    Args:
        extractor: The feature extractor.
        images: Returns uint8 images (N, C, H, W). Not called if the cache has the key.
        key: The key in the cache; None does not use the cache.

    Raises:
        ValueError: A feature is not finite.
    """

    def compute():
        taken = images().to(device_of(extractor))
        features = extractor(taken).flatten(1).float().cpu()
        if not features.isfinite().all():
            raise ValueError(f"the features of {extractor.name} contain NaN or infinity")
        return {"features": features, "detail": DETAIL(taken).cpu()}

    return cached("features", key, compute) if key else compute()
