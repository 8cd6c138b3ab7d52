"""The two sides of an evaluation, real images and what is compared with them, and their metrics."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from datamodules.image import ImageDataModule
from datamodules.loading.sources import ImageFiles, InMemoryImages, load_stored_images
from zoo.config.composition import checked
from zoo.config.errors import UserError
from zoo.engine.distributed import local_rank_zero_first, on_all_ranks, on_rank_zero
from zoo.engine.loader import Subset
from zoo.engine.seeds import keyed_permutation
from zoo.media.images import to_uint8
from zoo.metrics.compute import (
    evaluation_seed,
    likelihood_metrics,
    measure,
    measure_statistics,
    model_metrics,
    real_metrics,
)
from zoo.metrics.extractors.base import check_purpose, default_extractor
from zoo.metrics.feature_metrics import choose_metrics
from zoo.metrics.features import first_images, image_features, reference_images, sample_features
from zoo.metrics.path_length import path_length
from zoo.metrics.statistics import (
    Statistics,
    is_statistics,
    read_statistics,
    write_statistics,
)
from zoo.runs.checkpoints import load_data, load_model
from zoo.runs.loaded_checkpoint import LoadedCheckpoint
from zoo.runs.progress_bars import progress_bars

Source = InMemoryImages | ImageFiles | Subset


@dataclass
class RealImages:
    """Real images to compare with.

    Args:
        name: Their name in messages.
        train: The images that every metric compares with; None if only statistics are stored.
        test: Test images, whose metrics show what a perfect model would reach; None without any.
        data: Their data module; None for a folder or a file.
        statistics: The stored statistics, which only FID compares with.
    """

    name: str
    train: Any
    test: Any = None
    data: Any = None
    statistics: Statistics | None = None

    @property
    def described(self) -> str:
        """What the protocol of an evaluation says of them."""
        what = "statistics" if self.statistics else f"{len(self.train)} images"
        return f"{what} of {self.name}"

    @property
    def origin(self) -> Any:
        """What defines the extractor and the value range: the data module, or ImageDataModule."""
        return self.data or ImageDataModule


@dataclass(frozen=True)
class Subject:
    """What is compared with real images: samples of a model, or stored images.

    Args:
        count: Number of images.
        features: Computes their features, from an extractor and `advance`, which is called with
            the number of images after each chunk.
        model: The model of samples; None for stored images.
    """

    count: int
    features: Callable[..., Any]
    model: Any = None


def open_real(checkpoint: Any, data: dict[str, Any] | None, reference: str | None) -> RealImages:
    """Open the real images to compare with: at most MAX_REFERENCE for training, all for test.

    Args:
        checkpoint: Its data are used unless others are chosen. See zoo.runs.checkpoints.load_data.
        data: {"_target_": name, parameter: value} of the chosen data.
        reference: A folder of images, or an .npz file of images or statistics, instead of data.

    Raises:
        UserError: There are no such images.
    """
    if reference is not None and on_rank_zero(is_statistics, reference):
        return RealImages(reference, None, statistics=on_all_ranks(read_statistics, reference))
    if reference is not None:
        return RealImages(reference, reference_images(on_all_ranks(load_stored_images, reference)))
    module = load_data(checkpoint, data)
    local_rank_zero_first(module.prepare_data)
    train, test = (on_all_ranks(module.source, split) for split in ("train", "test"))
    return RealImages(f"{module.name}, train", reference_images(train), test, module)


def choose_extractor(node: dict[str, Any] | None, real: RealImages) -> Any:
    """Return the extractor of the settings, or the one that the data name, for `load_extractor`.

    The data then name it, too, because a model's own metrics use the extractor of its data.

    Args:
        node: {"_target_": name, parameter: value}, each of which may be left out.
        real: The real images.

    Raises:
        UserError: Neither names one.
    """
    choice = real.origin.extractor
    if node:
        choice = checked({"_target_": choice} | node, "extractor").as_dict()
    if choice is None:
        raise UserError(f"{real.name} has no default extractor: set extractor=NAME.")
    if not real.statistics:  # which would not be those of a replacement
        choice = default_extractor(choice)
    if real.data:
        real.data.extractor = choice
    return choice


def without_features(
    checkpoint: str | LoadedCheckpoint, real: RealImages, seed: int, device: torch.device
) -> dict[str, Any]:
    """Measure what needs no extractor: a model's likelihood, and the numbers that only it has.

    Returns:
        {"metrics": {name: number}, "protocol": how they were measured}.

    Raises:
        UserError: The model has no such numbers.
    """
    model = on_all_ranks(load_model, checkpoint).to(device)
    noise = evaluation_seed("test", seed)
    numbers = likelihood_metrics(model, real.data, "test", noise) | model_metrics(
        model, real.data, "test", noise
    )
    if not numbers:
        raise UserError(f"{real.name} has no default extractor: set extractor=NAME.")
    protocol = {"reference": f"{len(real.test)} test samples of {real.data.name}", "seed": seed}
    return {"metrics": numbers, "protocol": protocol}


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
        UserError: The model cannot be loaded, or its images have another size.
    """
    model = load_model(checkpoint).to(device)
    side = model.hparams.get("image_size")
    check_size((side, side), real)
    noise = evaluation_seed("test", seed)
    features = partial(
        sample_features, model=model, count=count, seed=noise, data=real.origin, keep=True
    )
    return Subject(count, features, model)


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
    return Subject(len(source), partial(image_features, source=source))


def check_size(size: tuple[int | None, ...], real: RealImages) -> None:
    """Check that images have the size of the real ones.

    Args:
        size: (H, W); None for a size that is not known.
        real: The real images.

    Raises:
        UserError: They have another size.
    """
    if real.train is not None and None not in size and size != size_of(real.train):
        raise UserError(
            f"The images are {size[0]}x{size[1]}, those of {real.name} "
            f"{'x'.join(map(str, size_of(real.train)))}: metrics compare images of one size only."
            + (" data.image_size=N resizes data that have that parameter." if real.data else "")
        )


def size_of(source: Source) -> tuple[int, ...]:
    """Return (H, W) of the first image of a source."""
    return tuple(first_images(source, 1).shape[-2:])


def choose_comparison(
    metrics: tuple[str, ...] | None, extractor: Any, count: int, real: RealImages
) -> tuple[str, ...]:
    """Return the metrics to measure: see `choose_metrics`. Stored statistics serve only FID.

    Args:
        metrics: Names of metrics; None for all that are supported.
        extractor: The feature extractor.
        count: Number of images to measure.
        real: The real images.

    Raises:
        UserError: A metric is not supported, or the extractor is not that of the statistics.
    """
    if not real.statistics:
        first = first_images(real.train)
        check_purpose(extractor, first)
        return choose_metrics(metrics, extractor, count, tuple(first.shape[1:]))
    others = set(metrics or ()) - {"fid"}
    if others:
        raise UserError(
            f"{real.name} contains only mean and covariance, which serve fid, but not "
            f"{', '.join(sorted(others))}: set metrics=[fid], or compare with images."
        )
    real.statistics.check_extractor(extractor.name)
    return choose_metrics(("fid",), extractor, count)


def save_statistics(extractor: Any, real: RealImages, file: str) -> None:
    """Write the mean and covariance of the real images' features to a file.

    Args:
        extractor: The feature extractor.
        real: The real images.
        file: The .npz file.

    Raises:
        UserError: The real images are stored statistics themselves.
    """
    if real.statistics:
        raise UserError(f"{real.name} contains statistics already: copy the file.")
    features = image_features(extractor, real.train)
    on_rank_zero(write_statistics, file, features.reference_moments, extractor.name)


def check_paths(extractor: Any, real: RealImages, subject: Subject) -> None:
    """Check that the perceptual path length can be measured.

    Args:
        extractor: The feature extractor.
        real: The real images, whose data module says what the samples are.
        subject: What is measured.

    Raises:
        UserError: It cannot.
    """
    if not hasattr(subject.model, "prior"):
        what = type(subject.model).__name__ if subject.model else "a folder of images"
        raise UserError(f"paths=... needs a model with latents, and {what} has no prior.")
    if real.origin.denormalize is not to_uint8:
        raise UserError(f"paths=... measures models of images, not of {real.name}.")
    if not hasattr(extractor, "float_features"):
        raise UserError(
            f"paths=... needs an extractor with float_features(pixels), unlike {extractor.name}."
        )


def path_lengths(
    extractor: Any, real: RealImages, subject: Subject, count: int, seed: int
) -> dict[str, float]:
    """Measure the perceptual path length. See zoo.metrics.path_length.

    Args:
        extractor: The feature extractor.
        real: The real images, from whose data module conditions are taken.
        subject: Samples of a model.
        count: Number of paths.
        seed: Seed of the evaluation.
    """
    model = subject.model
    noise = evaluation_seed("test", seed)
    with model.evaluating():
        return on_rank_zero(path_length, model, real.data, extractor, count, noise)


def compare(
    extractor: Any, real: RealImages, subject: Subject, metrics: tuple[str, ...], seed: int
) -> dict[str, float]:
    """Measure a subject against real images, and the real test images likewise.

    Args:
        extractor: Computes the features.
        real: The real images.
        subject: What to compare with them.
        metrics: Names of the metrics.
        seed: Seed of the evaluation.

    Returns:
        {name: number}, with the numbers that only the subject's model has. See
        GenerativeModule.measure.
    """
    seed = evaluation_seed("test", seed)
    if real.statistics:
        with progress_bars() as bar:
            fake = subject.features(extractor, advance=bar("measured", subject.count))
        return measure_statistics(real.statistics.moments, fake, extractor)
    workers = real.data.hparams.get("workers", 0) if real.data else 0
    with progress_bars() as bar:
        train = image_features(extractor, real.train, workers, bar("real", len(real.train)))
        fake = subject.features(extractor, advance=bar("measured", subject.count))
        numbers = measure(metrics, train, fake, extractor, seed, real.data, bar)
        if subject.model is not None and real.data is not None:
            for measure_model in (likelihood_metrics, model_metrics):
                numbers |= measure_model(subject.model, real.data, "test", seed)
        if real.test:
            test = image_features(extractor, real.test, workers, bar("test", len(real.test)))
            settings = extractor, subject.count, seed, real.data, bar
            numbers |= real_metrics(metrics, train, test, *settings)
    return numbers
