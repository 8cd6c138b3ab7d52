"""From features to named numbers: `metrics=[fid,kid,is,prdc]`."""

from zoo.config.errors import UserError, unknown
from zoo.engine.distributed import on_rank_zero
from zoo.engine.seeds import key, reseed
from zoo.metrics.cache_key import device_of
from zoo.metrics.frechet import MOST_FEATURES, extrapolated_distance, frechet_distance
from zoo.metrics.inception_score import inception_score
from zoo.metrics.kid import kid
from zoo.metrics.likelihood import likelihoods
from zoo.metrics.mode_coverage import modes
from zoo.metrics.prdc import prdc
from zoo.metrics.sharpness import sharpness
from zoo.precision import exact_float32

# Each takes real and fake Features, the extractor and a seed, and gives {what: number}: `measure`
# puts the extractor and the number of samples into the name.


def fid(real, fake, extractor, seed):
    return {"fid": frechet_distance(real.reference_moments, fake.moments)}


def kernel_distance(real, fake, extractor, seed):
    value = kid(*values_of(extractor, real, fake), seed=seed)
    protocol = "" if value.subset_size == 1000 else f"_subset{value.subset_size}"
    return {f"kid{protocol}": value.mean, f"kid{protocol}_std": value.std}


def score(real, fake, extractor, seed):
    features = fake.values.to(device_of(extractor))
    mean, deviation = inception_score(extractor.classify(features).cpu(), seed=seed)
    return {"is": mean, "is_std": deviation}


def neighbourhoods(real, fake, extractor, seed):
    # Of as many real as generated ones: of equal distributions coverage is .97 then, and .55 where
    # there are five times as many real ones.
    count = compared("prdc", real, fake)
    value = prdc(*values_of(extractor, real.part(count), fake.part(count)))
    return {
        "precision_k3": value.precision,
        "recall_k3": value.recall,
        "density_k5": value.density,
        "coverage_k5": value.coverage,
    }


METRICS = {"fid": fid, "kid": kernel_distance, "is": score, "prdc": neighbourhoods}
EQUAL = ("prdc",)  # compare as many real images as samples
LEAST = {"fid": 2, "kid": 2, "is": 10, "prdc": 6}  # samples, and real images, that each needs
# What is better when it is larger; of all else but the unranked, less is better.
RISING = ("is_", "precision", "recall", "density", "coverage", "modes_covered", "high_quality")
RISING += ("accuracy", "mutual_information", "psnr", "ssim", "sharp_", "active_units", "iou")
UNRANKED = "sharpness"  # 1 is best: neither less nor more is better


def chosen(metrics, extractor, count, shape=None):
    """The metrics chosen, or, for None, all that `count` samples and the extractor can serve.

    shape: (C, H, W) of the images. UserError for a name that is no metric, or one that they cannot
    serve.
    """
    if metrics is None:
        metrics = [name for name in METRICS if not hindrance(name, extractor, count, shape)]
    if not metrics:
        raise UserError(f"No metric is left to measure: there are {', '.join(METRICS)}.")
    for name in metrics:
        if name not in METRICS:
            raise unknown("metric ", name, METRICS)
        if hindrance(name, extractor, count, shape):
            raise UserError(hindrance(name, extractor, count, shape))
    return tuple(metrics)


def hindrance(metric, extractor, count, shape=None):
    """Why a metric cannot be had of so many samples by an extractor; empty if it can."""
    if count < LEAST[metric]:
        return f"The metric {metric} needs {LEAST[metric]} samples or more, not {count}."
    if metric == "is" and not hasattr(extractor, "classify"):
        return (
            "The Inception Score needs class probabilities, and the extractor "
            f"{extractor.name} has no classify(features): leave `is` out of the metrics, or take "
            "another extractor."
        )
    width = extractor.num_features(shape) if shape and hasattr(extractor, "num_features") else None
    if metric == "fid" and width is not None and width > MOST_FEATURES:
        return (
            f"The metric fid takes at most {MOST_FEATURES} features, and {extractor.name} has "
            f"{width} of such images: take extractor=inception, smaller images, or the metrics "
            "kid and prdc."
        )
    return ""


def compared(metric, real, fake):
    """How many samples a metric compares, of these Features."""
    return min(len(real), len(fake)) if metric in EQUAL else len(fake)


def measure(metrics, real, fake, extractor, seed=0, data=None):
    """{name: number} of fake against real Features, the same on every process.

    A name says what was measured by whose features of how many samples: fid_digits_2k. Pictures
    have their sharpness, which is of no features: sharpness_2k. data: adds its own numbers (see
    DataModule.mixture), if the features are those it names.
    """

    def compute():
        widths = [features.values.shape[1] for features in (real, fake)]
        if widths[0] != widths[1]:
            raise ValueError(
                f"The real images have {widths[0]} features, the others {widths[1]}: are they of "
                "another size, or grey and the real ones coloured?"
            )
        numbers = {}
        for metric in metrics:
            protocol = f"{extractor.name}_{size(compared(metric, real, fake))}"
            for what, value in METRICS[metric](real, fake, extractor, seed).items():
                numbers[f"{what}_{protocol}"] = value
        others = sharpness(real.detail, fake.detail)
        own_features = data is not None and extractor.name == type(data).extractor
        if own_features and data.mixture is not None:
            others |= modes(fake.values, *data.mixture)
        return numbers | {f"{what}_{size(len(fake))}": value for what, value in others.items()}

    return on_rank_zero(compute)


def floor(metrics, real, test, extractor, count, seed=0, data=None):
    """The numbers of real test images: what a model of their distribution would have.

    Where there are enough of them, they are of `count` test images, as the model's are of as many
    samples. Where there are fewer, FID is extrapolated to `count` (see `extrapolated_distance`),
    and its name ends in _extrapolated; the others are of all test images, as their names say. Those
    for which there are too few are left out.

    Args:
        metrics: among METRICS.
        real: Features of the reference.
        test: Features of the test images.
        extractor: what made them.
        count: the number of samples that models are measured by.
        seed: as in `measure`.
        data: as in `measure`.

    Returns:
        {real_NAME: number}, the same on every process.
    """
    test = test.part(count)
    served = [name for name in metrics if not hindrance(name, extractor, len(test))]
    if not served:
        return {}
    numbers = {}
    if "fid" in served and len(test) < count and len(test) // 2 > test.values.shape[1]:
        served.remove("fid")
        name = f"fid_{extractor.name}_{size(count)}_extrapolated"
        numbers[name] = on_rank_zero(distant, real, test, count)
    numbers |= measure(served, real, test, extractor, seed, data)
    return {f"real_{name}": value for name, value in numbers.items()}


def distant(real, test, count):
    """The extrapolated Fréchet distance of `count` test images."""
    return extrapolated_distance(real.reference_moments, test.values, count)


def noise_of(split: str, seed: int) -> int:
    """The seed of all that is drawn to measure on a split.

    The numbers on "val" select, those on "test" are reported: a model that was chosen by a number
    looks better by the noise of that number than by any other.
    """
    return key(seed, "measured on", split)


def own(model, data, split, seed=0):
    """{name: number} that only this model has, see GenerativeModule.measure, on every process."""
    with model.evaluating(), exact_float32():
        reseed(model.device, seed, "measure")
        return on_rank_zero(model.measure, data, split)


def likelihood(model, data, split, seed=0, most=None):
    """{name: number} of a model that has `nats`, see zoo.metrics.likelihood; {} of another."""
    if not hasattr(model, "nll"):
        return {}
    with model.evaluating(), exact_float32():
        return likelihoods(model, data, split, seed, most)


def size(count):
    """'2k' for 2000, '360' for 360."""
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)


def values_of(extractor, *sets):
    """The values (N, F) of Features, on the extractor's device if it computes in float64."""
    device = device_of(extractor) if device_of(extractor).type == "cuda" else "cpu"
    return [features.values.to(device) for features in sets]
