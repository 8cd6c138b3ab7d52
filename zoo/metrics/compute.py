"""Named metrics: of samples compared with real images, of likelihoods, and those of the model.

A name contains the protocol: fid_digits_2k uses 2,000 samples and the extractor `digits`.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

from zoo.engine.distributed import on_rank_zero
from zoo.engine.seeds import key, reseed
from zoo.metrics.feature_metrics import METRICS, compared_count, unsupported_reason
from zoo.metrics.features import Features
from zoo.metrics.frechet import Moments, extrapolated_distance, frechet_distance
from zoo.metrics.likelihood import likelihoods
from zoo.metrics.mode_coverage import modes
from zoo.metrics.prdc import Bar, no_bar
from zoo.metrics.sharpness import sharpness
from zoo.precision import exact_float32

# Metrics with these prefixes are better when higher, all others except UNRANKED when lower.
HIGHER_IS_BETTER = (
    *("is_", "precision", "recall", "density", "coverage", "modes_covered", "high_quality"),
    *("accuracy", "mutual_information", "psnr", "ssim", "sharp_", "active_units", "iou"),
    *("codebook_used", "codebook_perplexity"),
)
UNRANKED = ("sharpness", "nearest_cosine")  # best near the value of real images


def measure(
    metrics: Sequence[str],
    real: Features,
    fake: Features,
    extractor: nn.Module,
    seed: int = 0,
    data: Any = None,
    bar: Bar = no_bar,
) -> dict[str, float]:
    """Measure generated against real images.

    Args:
        metrics: Names in METRICS.
        real: Features of the real images.
        fake: Features of the generated images.
        extractor: The extractor of both.
        seed: Seed of the metrics that use random subsets.
        data: A data module. If it has a `mixture` and the extractor is its default, the coverage of
            modes is added.
        bar: Adds the progress bar of a slow metric. See zoo.runs.progress_bars.

    Returns:
        {name: number}, the same on every process. A name contains the extractor and the number of
        samples, as in fid_digits_2k. The sharpness does not depend on the extractor: sharpness_2k.
    """

    def compute():
        widths = [features.values.shape[1] for features in (real, fake)]
        if widths[0] != widths[1]:
            raise ValueError(
                f"The real images have {widths[0]} features, the others {widths[1]}: they may "
                "differ in size, or in their number of channels."
            )
        numbers = {}
        for metric in metrics:
            protocol = f"{extractor.name}_{count_name(compared_count(metric, real, fake))}"
            for what, value in METRICS[metric](real, fake, extractor, seed, bar).items():
                numbers[f"{what}_{protocol}"] = value
        others = sharpness(real.detail, fake.detail)
        own_features = data is not None and extractor.name == type(data).extractor
        if own_features and data.mixture is not None:
            others |= modes(fake.values, *data.mixture)
        return numbers | {
            f"{what}_{count_name(len(fake))}": value for what, value in others.items()
        }

    return on_rank_zero(compute)


def measure_statistics(real: Moments, fake: Features, extractor: Any) -> dict[str, float]:
    """Measure generated images against the stored moments of real ones.

    Args:
        real: Moments of the real images' features.
        fake: Features of the generated images.
        extractor: The extractor of both.

    Returns:
        {name: FID}, the same on every process.
    """
    name = f"fid_{extractor.name}_{count_name(len(fake))}"
    return {name: on_rank_zero(lambda: frechet_distance(real, fake.moments))}


def real_metrics(
    metrics: Sequence[str],
    real: Features,
    test: Features,
    extractor: nn.Module,
    count: int,
    seed: int = 0,
    data: Any = None,
    bar: Bar = no_bar,
) -> dict[str, float]:
    """Measure real test images, to get the metrics of a perfect model.

    They use `count` test images. If there are fewer, FID is extrapolated to `count` (see
    `extrapolated_distance`) and its name ends in _extrapolated. The other metrics then use all test
    images, and their names contain that number. Metrics that need more images are left out.

    Args:
        metrics: Names in METRICS.
        real: Features of the reference.
        test: Features of the test images.
        extractor: The extractor of both.
        count: The number of samples with which models are measured.
        seed: See `measure`.
        data: See `measure`.
        bar: See `measure`.

    Returns:
        {real_NAME: number}, the same on every process.
    """
    test = test.part(count)
    served = [name for name in metrics if not unsupported_reason(name, extractor, len(test))]
    if not served:
        return {}
    numbers = {}
    if "fid" in served and len(test) < count and len(test) // 2 > test.values.shape[1]:
        served.remove("fid")
        name = f"fid_{extractor.name}_{count_name(count)}_extrapolated"
        numbers[name] = on_rank_zero(_extrapolated_fid, real, test, count)
    numbers |= measure(served, real, test, extractor, seed, data, bar)
    return {f"real_{name}": value for name, value in numbers.items()}


def _extrapolated_fid(real: Features, test: Features, count: int) -> float:
    """Return the extrapolated Fréchet distance of `count` test images."""
    return extrapolated_distance(real.reference_moments, test.values, count)


def evaluation_seed(split: str, seed: int) -> int:
    """Return the seed of all random numbers of a measurement on a split.

    Metrics of "val" select models, and those of "test" are reported. They use different noise,
    because a selected model has better metrics with the noise that was used for the selection.
    """
    return key(seed, "measured on", split)


def model_metrics(model: Any, data: Any, split: str, seed: int = 0) -> dict[str, float]:
    """Return the metrics of the model's `measure`, the same on every process."""
    with model.evaluating(), exact_float32():
        reseed(model.device, seed, "measure")
        return on_rank_zero(model.measure, data, split)


def likelihood_metrics(
    model: Any, data: Any, split: str, seed: int = 0, most: int | None = None
) -> dict[str, float]:
    """Return the likelihoods of a model that has `nll`, else {}. See zoo.metrics.likelihood."""
    if not hasattr(model, "nll"):
        return {}
    with model.evaluating(), exact_float32():
        return likelihoods(model, data, split, seed, most)


def count_name(count: int) -> str:
    """Return "2k" for 2000, "360" for 360."""
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)
