"""What an evaluation compares with real images: samples of a model, or stored images."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from datamodules.loading.sources import load_stored_images
from zoo.config.errors import UserError
from zoo.engine.loader import Subset
from zoo.engine.seeds import keyed_permutation
from zoo.metrics.compute import evaluation_seed
from zoo.metrics.features import first_images, image_features, sample_features
from zoo.runs.checkpoints import load_model
from zoo.runs.loaded_checkpoint import LoadedCheckpoint
from zoo.runs.real_images import RealImages, Source, check_size, size_of


@dataclass(frozen=True)
class Subject:
    """What is compared with real images: samples of a model, or stored images.

    Args:
        count: Number of images.
        features: Computes their features, from an extractor and `advance`, which is called with
            the number of images after each chunk.
        model: The model of samples; None for stored images.
        shape: (C, H, W) of an image; None if it is not known.
    """

    count: int
    features: Callable[..., Any]
    model: Any = None
    shape: tuple[int, ...] | None = None


def sampled_images(
    checkpoint: str | LoadedCheckpoint,
    count: int,
    seed: int,
    real: RealImages,
    device: torch.device | str,
) -> Subject:
    """Return the Subject of samples of a model.

    Args:
        checkpoint: The model.
        count: Number of samples.
        seed: Seed of the evaluation.
        real: The real images.
        device: Where the model runs.

    Raises:
        UserError: The model cannot be loaded, its images have another size, or there are no data
            for its conditions.
    """
    model = load_model(checkpoint).to(device)
    if model.conditions and real.data is None:
        raise UserError(
            f"{type(model).__name__} needs {' and '.join(model.conditions)} to sample, which "
            f"{real.name} does not contain: set data=NAME instead of reference=..."
        )
    side, channels = (model.hparams.get(name) for name in ("image_size", "image_channels"))
    if side != getattr(real.data, "image_size", None):  # else the data convert the samples
        check_size((side, side), real)
    noise = evaluation_seed("test", seed)
    features = partial(
        sample_features, model=model, count=count, seed=noise, data=real.origin, keep=True
    )
    return Subject(count, features, model, (channels, side, side) if channels and side else None)


def stored_images(path: str, count: int | None, real: RealImages) -> Subject:
    """Return the Subject of stored images.

    Args:
        path: A folder of images or an .npz file.
        count: Number of images, always the same ones; None for all.
        real: The real images.

    Raises:
        UserError: There are fewer images, or they have another size.
    """
    source: Source = load_stored_images(path)
    check_size(size_of(source), real)
    if count is not None and count > len(source):
        raise UserError(f"count={count}, but {path} holds {len(source)} images.")
    if count is not None:
        source = Subset(source, keyed_permutation(len(source), "count")[:count].sort().values)
    features = partial(image_features, source=source)
    return Subject(len(source), features, shape=tuple(first_images(source, 1).shape[1:]))
