"""Metrics of samples or stored images compared with real images."""

from typing import Any

import torch

from zoo.config.errors import UserError
from zoo.engine.distributed import on_all_ranks
from zoo.media.images import to_uint8
from zoo.metrics.compute import (
    evaluation_seed,
    likelihood_metrics,
    measure,
    measure_statistics,
    model_metrics,
    real_metrics,
)
from zoo.metrics.extractors.base import check_purpose, num_features
from zoo.metrics.feature_metrics import choose_metrics
from zoo.metrics.features import first_images, image_features
from zoo.metrics.path_length import path_length
from zoo.runs.checkpoints import load_model
from zoo.runs.loaded_checkpoint import LoadedCheckpoint
from zoo.runs.progress_bars import progress_bars
from zoo.runs.real_images import RealImages
from zoo.runs.subjects import Subject


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
    numbers = own_metrics(model, real, seed)
    if not numbers:
        raise UserError(
            f"{real.name} has no default extractor, which the metrics of {type(model).__name__} "
            "need: set extractor=NAME, such as extractor=pixels."
        )
    protocol = {"reference": f"{len(real.test)} test samples of {real.data.name}", "seed": seed}
    return {"metrics": numbers, "protocol": protocol}


def own_metrics(model: Any, real: RealImages, seed: int) -> dict[str, float]:
    """Return the likelihood of a model, and the numbers that only it has; {} for neither.

    Args:
        model: The model.
        real: The real images, with a data module.
        seed: Seed of the evaluation.
    """
    noise = evaluation_seed("test", seed)
    numbers = likelihood_metrics(model, real.data, "test", noise)
    return numbers | model_metrics(model, real.data, "test", noise)


def choose_comparison(
    metrics: tuple[str, ...] | None, extractor: Any, subject: Subject, real: RealImages
) -> tuple[str, ...]:
    """Return the metrics to measure: see `choose_metrics`. Stored statistics serve only FID.

    Args:
        metrics: Names of metrics; None for all that are supported.
        extractor: The feature extractor.
        subject: What to measure.
        real: The real images.

    Raises:
        UserError: A metric is not supported, or the extractor is not that of the statistics.
    """
    if not real.statistics:
        first = first_images(real.train)
        check_purpose(extractor, first)
        return choose_metrics(metrics, extractor, subject.count, tuple(first.shape[1:]))
    others = set(metrics or ()) - {"fid"}
    if others:
        raise UserError(
            f"{real.name} contains only mean and covariance, which serve fid, but not "
            f"{', '.join(sorted(others))}: set metrics=[fid], or compare with images."
        )
    real.statistics.check_extractor(extractor.name, num_features(extractor, subject.shape))
    return choose_metrics(("fid",), extractor, subject.count, subject.shape)


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
        return path_length(model, real.data, extractor, count, noise)


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
    noise = evaluation_seed("test", seed)
    if real.statistics:
        with progress_bars() as bar:
            fake = subject.features(extractor, advance=bar("measured", subject.count))
        return measure_statistics(real.statistics.moments, fake, extractor)
    workers = real.data.hparams.get("workers", 0) if real.data else 0
    with progress_bars() as bar:
        train = image_features(extractor, real.train, workers, bar("real", len(real.train)))
        fake = subject.features(extractor, advance=bar("measured", subject.count))
        numbers = measure(metrics, train, fake, extractor, noise, real.data, bar)
        if subject.model is not None and real.data is not None:
            numbers |= own_metrics(subject.model, real, seed)
        if real.test:
            test = image_features(extractor, real.test, workers, bar("test", len(real.test)))
            settings = extractor, subject.count, noise, real.data, bar
            numbers |= real_metrics(metrics, train, test, *settings)
    return numbers
