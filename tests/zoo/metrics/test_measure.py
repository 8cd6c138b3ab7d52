"""Numbers with their protocol in their names."""

import warnings

import pytest
import torch

from datamodules.gaussians import Gaussians
from zoo.errors import UserError
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.features import Features
from zoo.metrics.frechet import Moments, frechet_distance
from zoo.metrics.inception_score import inception_score
from zoo.metrics.kid import kid
from zoo.metrics.measure import LEAST, chosen, floor, measure
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
    assert chosen(None, digits, 10) == ("fid", "kid", "is", "prdc")
    assert chosen(None, digits, 5) == ("fid", "kid")
    assert chosen(None, pixels, 10) == ("fid", "kid", "prdc")
    assert chosen(("kid",), pixels, 2) == ("kid",)
    with pytest.raises(UserError, match="pixels has no classify"):
        chosen(("is",), pixels, 10)
    with pytest.raises(UserError, match="metric is needs 10 samples or more, not 9"):
        chosen(("is",), digits, 9)
    for metrics, count in (((), 10), (None, 1)):
        with pytest.raises(UserError, match="No metric is left"):
            chosen(metrics, digits, count)
    with pytest.raises(UserError, match=r"no metric pdrc\. Did you mean prdc"):
        chosen(("pdrc",), digits, 10)


def test_the_least_that_a_metric_needs_is_enough():
    extractor = load_extractor("digits")
    for metric, count in LEAST.items():
        few = [Features(torch.rand(count, 64), None) for _ in range(2)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # few samples
            assert measure((metric,), *few, extractor)


def test_a_floor_is_of_what_the_test_images_suffice_for(sets):
    real, _ = sets
    extractor = load_extractor("digits")
    for count, expected in ((0, set()), (4, {"real_kid_subset4", "real_kid_subset4_std"})):
        test = Features(real.values[:count], None)
        found = floor(("kid", "is", "prdc"), real, test, extractor)
        assert set(found) == {f"{name}_digits_{count}" for name in expected}


def test_features_of_other_images_are_told(sets):
    real, _ = sets
    other = Features(torch.rand(20, 192), None)
    with pytest.raises(ValueError, match=r"have 64 features, the others 192: .* grey"):
        measure(("fid",), real, other, load_extractor("pixels"))


def test_datas_own_numbers_are_of_their_own_extractor():
    data = Gaussians(count=300, val_count=0)
    points = Features(data.loader("test").source[torch.arange(100)]["image"].flatten(1), None)
    found = measure(("kid",), points, points, load_extractor("pixels"), data=data)
    assert found["modes_covered_3sigma_100"] == 8
    other = load_extractor("pixels")
    other.name = "mine"
    assert "modes_covered_3sigma_100" not in measure(("kid",), points, points, other, data=data)
