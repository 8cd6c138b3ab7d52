"""The simple densities beside which models of digits stand."""

import numpy as np
import pytest
import torch

from experiments import baselines_digits as baselines
from zoo.metrics.features import Features
from zoo.metrics.frechet import Moments, frechet_distance


@pytest.fixture(scope="module")
def pixels():
    """600 points around 4 centers."""
    generator = np.random.default_rng(0)
    centers = generator.uniform(60, 200, (4, 16))
    return centers.repeat(150, axis=0) + generator.normal(0, 5, (600, 16))


@pytest.mark.parametrize("baseline", baselines.BASELINES, ids=lambda function: function.__name__)
def test_each_is_near_the_mean_and_the_covariance_of_the_data(baseline, pixels):
    samples = baseline(pixels, 0)
    assert samples.shape == (baselines.COUNT, 16)
    assert np.abs(samples.mean(0) - pixels.mean(0)).max() < 5
    error = np.cov(samples.T) - np.cov(pixels.T)
    assert np.linalg.norm(error) < 0.1 * np.linalg.norm(np.cov(pixels.T))


def test_only_the_memoriser_copies(pixels):
    for baseline in baselines.BASELINES:
        copied = [(sample == pixels).all(axis=1).any() for sample in baseline(pixels, 0)[:20]]
        assert all(copied) if baseline is baselines.copies else not any(copied)


def test_extrapolated_distances_are_those_of_more_samples():
    generator = torch.Generator().manual_seed(0)
    real = Features(torch.randn(2000, 8, generator=generator), None)
    found = torch.tensor(baselines.extrapolations(real, 300))
    chosen = torch.randint(2000, (baselines.COUNT,), generator=generator)
    expected = frechet_distance(real.moments, Moments.of(real.values[chosen]))
    assert abs(found.mean() - expected) < 3 * found.std() / len(found) ** 0.5
