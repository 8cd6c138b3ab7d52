import math

import pytest
import torch
from torch_fidelity.metric_isc import isc_features_to_metric

from zoo.metrics.inception_score import inception_score


def logits(count=103, classes=7):
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(count, classes, generator=generator)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_uniform_predictions_score_one(classes):
    mean, deviation = inception_score(torch.full((40, classes), 1 / classes))
    assert mean == pytest.approx(1, abs=1e-12)
    assert deviation == pytest.approx(0, abs=1e-12)


def test_one_confident_class_scores_one():
    assert inception_score(torch.eye(5)[torch.full((30,), 2)]) == (1, 0)


@pytest.mark.parametrize("classes", [2, 5])
def test_confident_balanced_classes_score_their_number(classes):
    mean, deviation = inception_score(torch.eye(classes).repeat(20, 1), splits=1)
    assert mean == pytest.approx(classes, rel=1e-12)
    assert deviation == 0


def test_hand_computed():
    probabilities = torch.tensor([[1.0, 0.0], [0.5, 0.5]], dtype=torch.float64)
    divergences = [math.log(1 / 0.75), 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)]
    expected = math.exp(sum(divergences) / 2)
    assert inception_score(probabilities, splits=1)[0] == pytest.approx(expected, rel=1e-14)


def test_mean_and_population_deviation_over_splits():
    # Every split of one sample scores 1; of two samples, 1 where their class is the same, else 2.
    probabilities = torch.eye(2)[[0, 0, 1, 0]]
    assert inception_score(probabilities, splits=4) == (1, 0)
    mean, deviation = inception_score(probabilities, splits=2)
    assert (mean, deviation) == pytest.approx((1.5, 0.5))


@pytest.mark.parametrize(("seed", "splits"), [(0, 10), (5, 4), (1, 103)])
def test_equals_torch_fidelity_in_the_same_order(seed, splits):
    # torch-fidelity takes logits and shuffles by NumPy's generator; the rest is the same.
    order = torch.randperm(103, generator=torch.Generator().manual_seed(seed))
    theirs = isc_features_to_metric(logits()[order], splits=splits, shuffle=False)
    expected = theirs["inception_score_mean"], theirs["inception_score_std"]
    found = inception_score(logits().double().softmax(dim=1), splits, seed)
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_agrees_with_torch_fidelity_in_another_order():
    mean, deviation = inception_score(logits(5000).softmax(dim=1))
    theirs = isc_features_to_metric(logits(5000))
    assert mean == pytest.approx(theirs["inception_score_mean"], abs=deviation)


def test_float32_probabilities_are_summed_in_float64():
    generator = torch.Generator().manual_seed(0)
    probabilities = (1e-3 * torch.randn(20_000, 50, generator=generator)).softmax(dim=1)
    mean, _ = inception_score(probabilities, splits=1)
    exact = isc_features_to_metric(probabilities.double().log(), splits=1)["inception_score_mean"]
    assert mean - 1 == pytest.approx(exact - 1, rel=1e-5)  # 5e-7


def test_only_the_seed_decides():
    probabilities = logits().softmax(dim=1)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = inception_score(probabilities)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert inception_score(probabilities) == first
    assert inception_score(probabilities, seed=1) != first


@pytest.mark.parametrize("count", [0, 9])
def test_fewer_samples_than_splits_are_refused(count):
    with pytest.raises(ValueError, match=f"{count} samples cannot be split in 10"):
        inception_score(logits(count).softmax(dim=1))
    with pytest.raises(ValueError, match="cannot be split in 0"):
        inception_score(logits().softmax(dim=1), splits=0)


@pytest.mark.parametrize("row", [[0.5, 0.6], [0.5, 0.4], [1.5, -0.5], [math.nan, 0.5]])
def test_rows_that_are_no_probabilities_are_refused(row):
    probabilities = torch.full((20, 2), 0.5)
    probabilities[3] = torch.tensor(row)
    with pytest.raises(ValueError, match="sum to 1: apply softmax"):
        inception_score(probabilities)


def test_half_precision_is_accepted():
    assert inception_score(logits().softmax(dim=1).half())[0] == pytest.approx(
        inception_score(logits().softmax(dim=1))[0], rel=1e-3
    )
