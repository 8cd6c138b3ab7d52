"""Metrics of features, selected by name: metrics=[fid,kid,is,prdc,mifid].

Each function in METRICS takes real and generated Features, the extractor, a seed and `bar`, which
adds a progress bar (see zoo.runs.progress_bars), and returns {what: number}. zoo.metrics.compute
appends the extractor and the number of samples to the name.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from zoo.config.errors import UserError, unknown
from zoo.metrics.cache_key import device_of
from zoo.metrics.extractors.base import num_features
from zoo.metrics.features import Features
from zoo.metrics.frechet import MAX_FEATURES, frechet_distance
from zoo.metrics.inception_score import inception_score
from zoo.metrics.kid import kid
from zoo.metrics.mifid import mifid, nearest_cosine
from zoo.metrics.prdc import Bar, prdc


def fid(
    real: Features, fake: Features, extractor: nn.Module, seed: int, bar: Bar
) -> dict[str, float]:
    """Return the Fréchet distance."""
    return {"fid": frechet_distance(real.reference_moments, fake.moments)}


def kernel_distance(
    real: Features, fake: Features, extractor: nn.Module, seed: int, bar: Bar
) -> dict[str, float]:
    """Return the kernel inception distance, mean and standard deviation over subsets."""
    values = _feature_values(extractor, real, fake)
    value = kid(values[0], values[1], seed=seed)
    protocol = "" if value.subset_size == 1000 else f"_subset{value.subset_size}"
    return {f"kid{protocol}": value.mean, f"kid{protocol}_std": value.std}


def score(real: Features, fake: Features, extractor: Any, seed: int, bar: Bar) -> dict[str, float]:
    """Return the Inception Score, mean and standard deviation over splits."""
    features = fake.values.to(device_of(extractor))
    mean, deviation = inception_score(extractor.classify(features).cpu(), seed=seed)
    return {"is": mean, "is_std": deviation}


def neighborhoods(
    real: Features, fake: Features, extractor: nn.Module, seed: int, bar: Bar
) -> dict[str, float]:
    """Return precision, recall, density and coverage.

    Equal numbers of real and generated images are used. The coverage of equal distributions is then
    0.97. With five times as many real images it would be 0.55.
    """
    count = compared_count("prdc", real, fake)
    values = _feature_values(extractor, real.part(count), fake.part(count))
    value = prdc(values[0], values[1], bar=bar)
    return {
        "precision_k3": value.precision,
        "recall_k3": value.recall,
        "density_k5": value.density,
        "coverage_k5": value.coverage,
    }


def memorization(
    real: Features, fake: Features, extractor: nn.Module, seed: int, bar: Bar
) -> dict[str, float]:
    """Return MiFID, and the mean cosine distance of samples to their nearest training images."""
    fake_values, real_values = _feature_values(extractor, fake, real)
    cosine = nearest_cosine(fake_values, real_values)
    distance = frechet_distance(real.reference_moments, fake.moments)
    return {"mifid": mifid(distance, cosine), "nearest_cosine": cosine}


METRICS = {
    "fid": fid,
    "kid": kernel_distance,
    "is": score,
    "prdc": neighborhoods,
    "mifid": memorization,
}
ON_REQUEST = ("mifid",)  # metrics that are not measured by default
EQUAL_COUNTS = ("prdc",)  # metrics that compare equal numbers of real and generated images
MIN_SAMPLES = {
    "fid": 2,
    "kid": 2,
    "is": 10,
    "prdc": 6,
    "mifid": 2,
}  # of real and of generated images


def choose_metrics(
    metrics: Sequence[str] | None,
    extractor: Any,
    count: int,
    shape: tuple[int, ...] | None = None,
) -> tuple[str, ...]:
    """Return the metrics to measure.

    Args:
        metrics: Names in METRICS; None stands for all that are supported, except ON_REQUEST.
        extractor: The feature extractor.
        count: Number of samples.
        shape: (C, H, W) of the images.

    Raises:
        UserError: A name is not a metric, or a metric is not supported.
    """
    if metrics is None:
        reasons = {
            name: unsupported_reason(name, extractor, count, shape)
            for name in METRICS
            if name not in ON_REQUEST
        }
        metrics = [name for name, reason in reasons.items() if not reason]
        if not metrics:
            raise UserError(f"No metric can be measured. {next(iter(reasons.values()))}")
    if not metrics:
        raise UserError(f"metrics=[] names no metric: choose from {', '.join(METRICS)}.")
    for name in metrics:
        if name not in METRICS:
            raise unknown("metric ", name, METRICS)
        if unsupported_reason(name, extractor, count, shape):
            raise UserError(unsupported_reason(name, extractor, count, shape))
    return tuple(metrics)


def unsupported_reason(
    metric: str, extractor: Any, count: int, shape: tuple[int, ...] | None = None
) -> str:
    """Return why a metric cannot be measured, or "". See `choose_metrics`."""
    if count < MIN_SAMPLES[metric]:
        return f"The metric {metric} needs {MIN_SAMPLES[metric]} samples or more, not {count}."
    if metric == "is" and not hasattr(extractor, "classify"):
        return (
            "The Inception Score needs class probabilities, and the extractor "
            f"{extractor.name} has no classify(features): leave `is` out of the metrics, or take "
            "another extractor."
        )
    width = num_features(extractor, shape)
    if metric in ("fid", "mifid") and width is not None and width > MAX_FEATURES:
        return (
            f"The metric {metric} takes at most {MAX_FEATURES} features, and {extractor.name} has "
            f"{width} of such images: use extractor=inception, smaller images, or the metrics "
            "kid and prdc."
        )
    return ""


def compared_count(metric: str, real: Features, fake: Features) -> int:
    """Return how many samples a metric compares."""
    return min(len(real), len(fake)) if metric in EQUAL_COUNTS else len(fake)


def _feature_values(extractor: nn.Module, *sets: Features) -> list[Tensor]:
    """Return the values (N, F) of Features, on the extractor's device if that is a GPU."""
    device = device_of(extractor) if device_of(extractor).type == "cuda" else "cpu"
    return [features.values.to(device) for features in sets]
