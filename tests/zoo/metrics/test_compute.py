"""Numbers with their protocol in their names."""

import warnings

import pytest
import torch
from torch import nn

from datamodules.gaussians import Gaussians
from zoo.config.errors import UserError
from zoo.metrics.compute import measure, real_metrics
from zoo.metrics.extractors.base import check_purpose, load_extractor
from zoo.metrics.feature_metrics import MIN_SAMPLES, choose_metrics
from zoo.metrics.features import Features
from zoo.metrics.frechet import Moments, frechet_distance
from zoo.metrics.inception_score import inception_score
from zoo.metrics.kid import kid
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
    balls = prdc(real.values, fake.part(300).values)
    assert found == {
        "fid_digits_2k": pytest.approx(
            frechet_distance(Moments.of(real.values), Moments.of(fake.values)), rel=1e-12
        ),
        "kid_subset300_digits_2k": kernel.mean,
        "kid_subset300_std_digits_2k": kernel.std,
        "is_digits_2k": score[0],
        "is_std_digits_2k": score[1],
        "precision_k3_digits_300": balls.precision,
        "recall_k3_digits_300": balls.recall,
        "density_k5_digits_300": balls.density,
        "coverage_k5_digits_300": balls.coverage,
    }


def test_the_metrics_chosen_are_those_that_can_be_had():
    digits, pixels = load_extractor("digits"), load_extractor("pixels")
    assert choose_metrics(None, digits, 10) == ("fid", "kid", "is", "prdc")
    assert choose_metrics(None, digits, 5) == ("fid", "kid")
    assert choose_metrics(None, pixels, 10) == ("fid", "kid", "prdc")
    assert choose_metrics(("kid",), pixels, 2) == ("kid",)
    with pytest.raises(UserError, match="pixels has no classify"):
        choose_metrics(("is",), pixels, 10)
    with pytest.raises(UserError, match="metric is needs 10 samples or more, not 9"):
        choose_metrics(("is",), digits, 9)
    with pytest.raises(UserError, match="names no metric"):
        choose_metrics((), digits, 10)
    with pytest.raises(UserError, match=r"No metric can be measured.*fid needs 2 samples or more"):
        choose_metrics(None, digits, 1)
    with pytest.raises(UserError, match=r"no metric pdrc\. Did you mean prdc"):
        choose_metrics(("pdrc",), digits, 10)


def test_the_least_that_a_metric_needs_is_enough():
    extractor = load_extractor("digits")
    for metric, count in MIN_SAMPLES.items():
        few = [Features(torch.rand(count, 64), None) for _ in range(2)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # few samples
            assert measure((metric,), *few, extractor)


def test_a_floor_is_of_what_the_test_images_suffice_for(sets):
    real, _ = sets
    extractor = load_extractor("digits")
    for count, expected in ((0, set()), (4, {"real_kid_subset4", "real_kid_subset4_std"})):
        test = Features(real.values[:count], None)
        found = real_metrics(("kid", "is", "prdc"), real, test, extractor, 2000)
        assert set(found) == {f"{name}_digits_{count}" for name in expected}


def normal(count, seed, features=16):
    values = torch.randn(count, features, generator=torch.Generator().manual_seed(seed))
    return Features(values, None)


@pytest.mark.parametrize(("reals", "fakes"), [(500, 500), (500, 2500), (2500, 500)])
def test_of_equal_distributions_prdc_is_the_same_whatever_their_sizes(reals, fakes):
    """At equal sizes coverage is 1 - 2^-5; five times as many real ones would bring it to .55."""
    extractor = load_extractor("pixels")
    found = measure(("prdc",), normal(reals, 0), normal(fakes, 1), extractor)
    assert found["coverage_k5_pixels_500"] == pytest.approx(1 - 2**-5, abs=0.03)
    assert found["density_k5_pixels_500"] == pytest.approx(1, abs=0.1)
    assert found["precision_k3_pixels_500"] == pytest.approx(found["recall_k3_pixels_500"], abs=0.1)


def test_the_floor_is_of_as_many_test_images_as_there_are_samples():
    real, test, extractor = normal(3000, 0), normal(700, 1), load_extractor("pixels")
    found = real_metrics(("fid", "kid", "prdc"), real, test, extractor, 300, seed=5)
    expected = measure(("fid", "kid", "prdc"), real, test.part(300), extractor, seed=5)
    assert found == {f"real_{name}": value for name, value in expected.items()}
    assert "real_fid_pixels_300" in found


def test_of_fewer_test_images_the_floor_of_fid_is_extrapolated():
    """Twelve sets of 400 stand for 4,000: their own distance is ten times too large."""
    real, extractor = normal(50_000, 0), load_extractor("pixels")
    sets = [normal(400, 2 + seed) for seed in range(12)]
    found = [real_metrics(("fid",), real, test, extractor, 4000) for test in sets]
    assert all(set(numbers) == {"real_fid_pixels_4k_extrapolated"} for numbers in found)
    estimates = torch.tensor([numbers["real_fid_pixels_4k_extrapolated"] for numbers in found])
    own = measure(("fid",), real, sets[0], extractor)["fid_pixels_400"]
    same = measure(("fid",), real, normal(4000, 1), extractor)["fid_pixels_4k"]
    assert own > 8 * same
    error = estimates.std() / len(estimates) ** 0.5
    assert abs(estimates.mean() - same) < 3 * error
    assert error < same


def test_too_few_test_images_for_that_have_their_own_number():
    found = real_metrics(("fid",), normal(300, 0), normal(33, 1), load_extractor("pixels"), 100)
    assert set(found) == {"real_fid_pixels_33"}


def test_features_of_other_images_are_reported(sets):
    real, _ = sets
    other = Features(torch.rand(20, 192), None)
    with pytest.raises(ValueError, match=r"have 64 features, the others 192: .* channels"):
        measure(("fid",), real, other, load_extractor("pixels"))


def test_datas_own_numbers_are_of_their_own_extractor():
    data = Gaussians(count=300, val_count=0)
    points = Features(data.loader("test").source[torch.arange(100)]["image"].flatten(1), None)
    found = measure(("kid",), points, points, load_extractor("pixels"), data=data)
    assert found["modes_covered_3sigma_100"] == 8
    other = load_extractor("pixels")
    other.name = "mine"
    assert "modes_covered_3sigma_100" not in measure(("kid",), points, points, other, data=data)


def test_an_extractor_of_gray_images_is_refused_for_colored_ones():
    grey = torch.randint(256, (4, 1, 8, 8), dtype=torch.uint8)
    colored = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
    digits = load_extractor("digits")
    for images in (grey, grey.expand(-1, 3, -1, -1)):
        check_purpose(digits, images)
    for other in (load_extractor("pixels"), nn.Flatten()):
        check_purpose(other, colored)
    with pytest.raises(UserError, match=r"extractor=digits is made for gray .*=pixels"):
        check_purpose(digits, colored)


def test_pixels_of_large_images_are_refused_before_they_are_measured():
    pixels, large = load_extractor("pixels"), (3, 128, 128)
    assert choose_metrics(("fid",), pixels, 10, (3, 64, 64)) == ("fid",)
    with pytest.raises(UserError, match=r"16384 features, and pixels has 49152 .*kid and prdc"):
        choose_metrics(("fid",), pixels, 10, large)
    assert choose_metrics(None, pixels, 10, large) == ("kid", "prdc")
    assert choose_metrics(("fid",), load_extractor("digits"), 10, large) == ("fid",)
    with pytest.raises(ValueError, match="49152 features would take 18 GiB: at most 16384"):
        Moments(49152)


def test_numbers_that_would_be_of_nothing_are_refused():
    real, fake = torch.rand(20, 4), torch.rand(20, 5)
    with pytest.raises(ValueError, match="subsets=0 must be at least 1"):
        kid(real, real, subsets=0)
    for settings in ({"precision_k": 0}, {"coverage_k": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(settings))}=0 must be at least 1"):
            prdc(real, real, **settings)
    for metric in (kid, prdc):
        with pytest.raises(ValueError, match=r"the features are \(20, 4\) and \(20, 5\)"):
            metric(real, fake)
    with pytest.raises(ValueError, match="of 4 and of 5 features"):
        frechet_distance(Moments.of(real), Moments.of(fake))
