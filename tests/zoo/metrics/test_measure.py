"""Numbers with their protocol in their names."""

import pytest
import torch

from zoo.errors import UserError
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.features import Features
from zoo.metrics.frechet import Moments, frechet_distance
from zoo.metrics.inception_score import inception_score
from zoo.metrics.kid import kid
from zoo.metrics.measure import chosen, measure
from zoo.metrics.prdc import prdc


@pytest.fixture
def sets(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    generator = torch.Generator().manual_seed(0)
    values = [torch.rand(count, 64, generator=generator) for count in (300, 2000)]
    return Features(values[0], "real"), Features(values[1], "fake")


def test_each_number_is_its_functions_under_a_name_that_says_how(sets):
    real, fake = sets
    extractor = load_extractor("digits")
    found = measure(("fid", "kid", "is", "prdc"), real, fake, extractor, seed=3)
    kernel = kid(real.values, fake.values, seed=3)
    score = inception_score(extractor.classify(fake.values), seed=3)
    balls = prdc(real.values, fake.values)
    assert found == {
        "fid_digits_2k": pytest.approx(
            frechet_distance(Moments.of(real.values), Moments.of(fake.values)), rel=1e-12
        ),
        "kid_subset300_digits_2k": kernel.mean,
        "kid_subset300_std_digits_2k": kernel.std,
        "is_digits_2k": score[0],
        "is_std_digits_2k": score[1],
        "precision_k3_digits_2k": balls.precision,
        "recall_k3_digits_2k": balls.recall,
        "density_k5_digits_2k": balls.density,
        "coverage_k5_digits_2k": balls.coverage,
    }


def test_the_metrics_chosen_are_those_that_can_be_had():
    digits, pixels = load_extractor("digits"), load_extractor("pixels")
    assert chosen(None, digits) == ("fid", "kid", "is", "prdc")
    assert chosen(None, pixels) == ("fid", "kid", "prdc")
    assert chosen(("kid",), pixels) == ("kid",)
    with pytest.raises(UserError, match="pixels has no classify"):
        chosen(("is",), pixels)
    with pytest.raises(UserError, match=r"no metric pdrc\. Did you mean prdc"):
        chosen(("pdrc",), digits)
