"""One pass of an extractor over images: features, from which every metric is computed."""

from functools import cached_property, partial
from itertools import chain, zip_longest

import torch
from torch import Tensor

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
MOST_REAL = 50_000  # images that stand for a set of real ones, as in the papers


class Features:
    """Features `values` (N, F), float32 on the CPU, of one set of images.

    key: a hash of all that they depend on; None where it is not known. detail: what the pixels
    themselves say, see zoo.metrics.sharpness.
    """

    def __init__(self, values: Tensor, key: str | None, detail: Tensor | None = None):
        self.values = values
        self.key = key
        self.detail = torch.zeros(len(values), 1 + BANDS) if detail is None else detail

    def __len__(self):
        return len(self.values)

    def part(self, count: int) -> "Features":
        """A fixed choice of so many of them; all where there are no more."""
        if count >= len(self):
            return self
        chosen = keyed_permutation(len(self), "part")[:count].sort().values
        return Features(self.values[chosen], None, self.detail[chosen])

    @cached_property
    def moments(self) -> Moments:
        return Moments.of(self.values)

    @cached_property
    def reference_moments(self) -> Moments:
        """The moments with their root, which are kept on disk."""
        if self.key is None:
            return self.moments
        kept = cached("moments", self.key, self._with_root)
        return Moments(self.values.shape[1], **kept)

    def _with_root(self):
        return {"state": self.moments.state, "root": self.moments.root}


def representative(source):
    """The source, or, of more than MOST_REAL images, so many of them, always the same."""
    if len(source) <= MOST_REAL:
        return source
    return Subset(source, keyed_permutation(len(source), "reference")[:MOST_REAL].sort().values)


def first_images(source, count=16):
    """The first raw images of a source, which say what sort the others are of."""
    return source[torch.arange(min(count, len(source)))]["image"]


def of_images(extractor, source, workers=0, advance=lambda count: None) -> Features:
    """Features of the images of a source (see datamodules/loading/sources.py), on every process.

    They are kept on disk under a hash of the pixels. advance: is told the number of images as they
    are done.
    """
    rank, world_size = rank_and_world_size()
    loader = KeyedLoader(source, CHUNK, rank=rank, world_size=world_size, workers=workers)
    batches = (batch["image"] for batch in loader)
    chunks = ((fingerprint(images), lambda images=images: images) for images in batches)
    return collect(extractor, chunks, len(source), advance, keep=True)


def of_samples(
    extractor, model, count, seed, data, split="test", keep=False, advance=lambda count: None
) -> Features:
    """Features of `count` samples of a model, on every process; see `zoo.engine.sampling.draw`.

    data: makes of samples what the extractor takes, see ImageDataModule.denormalize. split: of
    the data, that a model's conditions are taken from. keep: on disk, under a hash of the model.
    """
    rank, world_size = rank_and_world_size()
    starts = list(enumerate(range(0, count, CHUNK)))[rank::world_size]

    def chunks():
        by = origin(model, data) if keep else None
        for chunk, start in starts:
            size = min(CHUNK, count - start)
            condition = conditions_of(model, data, size, start, split)
            key = fingerprint(by, seed, chunk, size, *(condition or {}).values())
            drawing = partial(draw_chunk, model, seed, chunk, size, condition)
            yield key, lambda drawing=drawing: data.denormalize(drawing())

    with model.evaluating():
        return collect(extractor, chunks(), count, advance, keep)


def origin(model, data) -> str:
    """A hash of what samples depend on besides the seed and their place.

    data: a DataModule, or a class of them, which has no settings.
    """
    if isinstance(data, type):
        return identity(model, data)
    return fingerprint(identity(model, type(data)), str(data.hparams))


def collect(extractor, chunks, count, advance, keep) -> Features:
    """Features of `count` images, of which this process has `chunks`: (key, what gives it)."""

    def extract_all():
        by = fingerprint(identity(extractor), identity(DETAIL)) if keep else None
        done = []
        for key, images in chunks:
            key = fingerprint(by, key) if keep else None
            done.append((key, extract(extractor, images, key)))
            advance(len(done[-1][1]["features"]))
        return done

    with exact_float32():
        done = on_all_ranks(extract_all)  # an image that one process cannot read stops them all
    sizes = [min(CHUNK, count - start) for start in range(0, count, CHUNK)]
    values, detail = (
        interleave([found[kind] for _, found in done], sizes, device_of(extractor))
        for kind in ("features", "detail")
    )
    if not keep:
        return Features(values, None, detail)
    in_turn = chain.from_iterable(zip_longest(*all_gather_object([key for key, _ in done])))
    return Features(values, fingerprint([key for key in in_turn if key]), detail)


@torch.no_grad()
def extract(extractor, images, key) -> dict[str, Tensor]:
    """`features` (N, F) and `detail` of what `images()` gives, or those kept under the key."""

    def compute():
        taken = images().to(device_of(extractor))
        features = extractor(taken).flatten(1).float().cpu()
        if not features.isfinite().all():
            raise ValueError(f"the features of {extractor.name} hold NaN or infinity")
        return {"features": features, "detail": DETAIL(taken).cpu()}

    return cached("features", key, compute) if key else compute()
