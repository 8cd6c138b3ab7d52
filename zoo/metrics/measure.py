"""From features to named numbers: `metrics=[fid,kid,is,prdc]`."""

from zoo.errors import UserError, unknown
from zoo.metrics.features import device_of
from zoo.metrics.frechet import frechet_distance
from zoo.metrics.inception_score import inception_score
from zoo.metrics.kid import kid
from zoo.metrics.prdc import prdc
from zoo.metrics.processes import on_first

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
    value = prdc(*values_of(extractor, real, fake))
    return {
        "precision_k3": value.precision,
        "recall_k3": value.recall,
        "density_k5": value.density,
        "coverage_k5": value.coverage,
    }


METRICS = {"fid": fid, "kid": kernel_distance, "is": score, "prdc": neighbourhoods}


def chosen(metrics, extractor):
    """The metrics chosen, or, for None, all that the extractor can serve.

    UserError for a name that is no metric, or one that the extractor cannot serve.
    """
    possible = [name for name in METRICS if name != "is" or hasattr(extractor, "classify")]
    for name in possible if metrics is None else metrics:
        if name not in METRICS:
            raise unknown("metric ", name, METRICS)
        if name not in possible:
            raise UserError(
                "The Inception Score needs class probabilities, and the extractor "
                f"{extractor.name} has no classify(features): leave `is` out of the metrics, or "
                "take another extractor."
            )
    return tuple(possible if metrics is None else metrics)


def measure(metrics, real, fake, extractor, seed=0, own=lambda features: {}):
    """{name: number} of fake against real Features, the same on every process.

    A name says what was measured by whose features of how many samples: fid_digits_2k. own: gives
    further numbers of the features, see ImageDataModule.measure.
    """

    def compute():
        numbers = {}
        for metric in metrics:
            for what, value in METRICS[metric](real, fake, extractor, seed).items():
                numbers[f"{what}_{extractor.name}_{size(len(fake))}"] = value
        return numbers | own(fake.values)

    return on_first(compute)


def size(count):
    """'2k' for 2000, '360' for 360."""
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)


def values_of(extractor, *sets):
    """The values (N, F) of Features, on the extractor's device if it computes in float64."""
    device = device_of(extractor) if device_of(extractor).type == "cuda" else "cpu"
    return [features.values.to(device) for features in sets]
