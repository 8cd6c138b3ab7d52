"""One pass of an extractor over images: features, from which every metric is computed."""

import inspect
import sys
import uuid
from functools import cache, cached_property, partial
from itertools import chain, zip_longest

import torch
import torchvision
from pytorch_lightning import LightningModule
from torch import Tensor, nn

import zoo
from datamodules.loader import KeyedLoader, shuffled
from datamodules.sources import Part
from zoo.conditions import conditions_of
from zoo.drawing import CHUNK, draw_chunk
from zoo.metrics.cache import cached, fingerprint
from zoo.metrics.frechet import Moments
from zoo.metrics.processes import everyones, place, together, woven
from zoo.metrics.sharpness import BANDS, Detail

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
    return Part(source, shuffled(len(source), "reference")[:MOST_REAL].sort().values)


def of_images(extractor, source, workers=0, advance=lambda count: None) -> Features:
    """Features of the images of a source (see datamodules/sources.py), on every process.

    They are kept on disk under a hash of the pixels. advance: is told the number of images as they
    are done.
    """
    rank, world_size = place()
    loader = KeyedLoader(source, CHUNK, rank=rank, world_size=world_size, workers=workers)
    batches = (batch["image"] for batch in loader)
    chunks = ((fingerprint(images), lambda images=images: images) for images in batches)
    return collect(extractor, chunks, len(source), advance, keep=True)


def of_samples(
    extractor, model, count, seed, data, keep=False, advance=lambda count: None
) -> Features:
    """Features of `count` samples of a model, on every process; see `zoo.drawing.draw`.

    data: makes of samples what the extractor takes, see ImageDataModule.raw, and has the test
    samples that a model's conditions are taken from. keep: on disk, under a hash of the model.
    """
    rank, world_size = place()
    starts = list(enumerate(range(0, count, CHUNK)))[rank::world_size]

    def chunks():
        origin = identity(model) if keep else None
        for chunk, start in starts:
            size = min(CHUNK, count - start)
            given = conditions_of(model, data, size, start)
            key = fingerprint(origin, seed, chunk, size, *(given or {}).values())
            drawing = partial(draw_chunk, model, seed, chunk, size, given)
            yield key, lambda drawing=drawing: data.raw(drawing())

    with model.evaluating():
        return collect(extractor, chunks(), count, advance, keep)


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

    done = together(extract_all)  # an image that one process cannot read stops them all
    sizes = [min(CHUNK, count - start) for start in range(0, count, CHUNK)]
    values, detail = (
        woven([found[kind] for _, found in done], sizes, device_of(extractor))
        for kind in ("features", "detail")
    )
    if not keep:
        return Features(values, None, detail)
    in_turn = chain.from_iterable(zip_longest(*everyones([key for key, _ in done])))
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


def identity(module) -> str:
    """A hash of what a module computes: its code, its settings, its weights, the versions.

    The code is that of the files of its own and its parts' classes, outside torch and Lightning.
    What cannot be hashed, such as a function, makes it unique: nothing is ever found by it.
    """
    parts = [str(module), str(getattr(module, "hparams", "")), device_of(module).type]
    parts += [zoo.__version__, torch.__version__, torchvision.__version__]
    parts += sorted(source for part in module.modules() for source in sources(type(part)))
    for name, part in module.named_modules():
        for attribute, value in vars(part).items():
            if attribute not in NOT_SETTINGS:
                parts += [name, attribute, plain(value)]
    return fingerprint(*parts, *chain.from_iterable(module.state_dict().items()))


# What torch and Lightning themselves keep in a module.
NOT_SETTINGS = {*vars(nn.Module()), *vars(LightningModule()), "_compiled_call_impl"}


@cache
def sources(cls) -> frozenset[str]:
    """The code of the files of a class and its ancestors, outside torch and Lightning."""
    libraries = ("builtins", "torch", "pytorch_lightning", "lightning_fabric")
    own = [c for c in cls.__mro__ if c.__module__.partition(".")[0] not in libraries]
    return frozenset(source_of(c) for c in own)


def source_of(cls) -> str:
    try:
        return inspect.getsource(sys.modules[cls.__module__])
    except (OSError, TypeError, KeyError):  # such as a class of a notebook
        return uuid.uuid4().hex


def plain(value) -> str:
    """What a tensor or a value of Python's own types is; of another, nothing that comes again."""
    if isinstance(value, Tensor):
        return f"tensor {fingerprint(value)}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} {[plain(element) for element in value]}"
    if isinstance(value, set | frozenset):
        return f"set {sorted(plain(element) for element in value)}"
    if isinstance(value, dict):
        return str([(plain(key), plain(element)) for key, element in value.items()])
    kinds = (str, bytes, int, float, complex, bool, type(None), torch.dtype, torch.device, type)
    return repr(value) if isinstance(value, kinds) else uuid.uuid4().hex


def device_of(module) -> torch.device:
    return next(module.parameters(), torch.zeros(0)).device
