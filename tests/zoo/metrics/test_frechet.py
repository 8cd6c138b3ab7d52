import math
import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance, _compute_fid

from zoo.metrics.frechet import Moments, frechet_distance

F = 12


def moments(features):
    collected = Moments(features.shape[1])
    collected.update(features)
    return collected


def correlated(seed, count=500, offset=0.0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(F, F, generator=generator, dtype=torch.float64)
    noise = torch.randn(count, F, generator=generator, dtype=torch.float64)
    return noise @ mixing + torch.randn(F, generator=generator, dtype=torch.float64) + offset


def exactly(mean, covariance, count=100):
    """Moments whose mean and covariance are these."""
    total = count * mean
    products = (count - 1) * covariance + count * mean.outer(mean)
    return Moments(len(mean), torch.cat([torch.tensor([count]), total, products.flatten()]))


def test_moments_are_the_mean_and_the_unbiased_covariance():
    features = correlated(0)
    collected = moments(features)
    assert collected.count == 500
    assert torch.allclose(collected.mean, features.mean(0), rtol=0, atol=1e-12)
    assert torch.allclose(collected.covariance, features.T.cov(), rtol=0, atol=1e-11)


def test_root_squares_to_the_covariance_and_follows_updates():
    collected = moments(correlated(0))
    first = collected.root
    assert collected.root is first
    collected.update(correlated(1))
    assert torch.allclose(collected.root @ collected.root.T, collected.covariance, atol=1e-10)


def test_float32_features_with_an_offset():
    features = (torch.randn(20_000, F, generator=torch.Generator().manual_seed(0)) + 1e3).float()
    shifted = moments(features)
    for chunk in features.split(64):  # the same twice, in other batches: the same but for n - 1
        shifted.update(chunk)
    expected = features.double().T.cov(correction=0) * 40_000 / 39_999
    assert torch.allclose(shifted.covariance, expected, rtol=0, atol=1e-6)
    centred = moments(features.double() - 1e3)
    other = correlated(1)
    difference = frechet_distance(shifted, moments(other + 1e3)) - frechet_distance(
        centred + centred, moments(other)
    )
    assert abs(difference) < 1e-6


@pytest.mark.parametrize("sizes", [[300, 200], [1, 300, 199], [0, 500], [64] * 7 + [52]])
def test_states_of_shards_add_up_to_the_whole(sizes):
    features = correlated(0)
    whole = moments(features)
    shards = [moments(shard) for shard in features.split(sizes)]
    reduced = Moments(F, torch.stack([shard.state for shard in shards]).sum(0))
    added = sum(shards, start=Moments(F))
    for merged in (reduced, added):
        assert merged.count == 500
        assert torch.allclose(merged.state, whole.state, rtol=1e-13, atol=1e-10)
        other = moments(correlated(1))
        expected = frechet_distance(whole, other)
        assert frechet_distance(merged, other) == pytest.approx(expected, rel=1e-12)


def test_equal_features_have_distance_zero():
    features = correlated(0)
    assert frechet_distance(moments(features), moments(features)) == pytest.approx(0, abs=1e-10)


def test_rounding_makes_no_distance_negative():
    distances = [frechet_distance(moments(x), moments(x)) for x in map(correlated, range(20))]
    assert min(distances) >= 0


@pytest.mark.parametrize("scale", [0.25, 1.0, 9.0])
def test_scaled_covariance_and_shifted_mean(scale):
    covariance = correlated(0).T.cov()
    mean = correlated(1).mean(0)
    shift = correlated(2).mean(0)
    expected = (1 - math.sqrt(scale)) ** 2 * covariance.trace() + shift.square().sum()
    found = frechet_distance(exactly(mean, covariance), exactly(mean + shift, scale * covariance))
    assert found == pytest.approx(expected.item(), rel=1e-10)


def test_diagonal_gaussians():
    first, second = torch.linspace(0, 5, F).double(), torch.linspace(3, 1, F).double()
    mean = torch.zeros(F, dtype=torch.float64)
    found = frechet_distance(exactly(mean, first.diag()), exactly(mean + 2, second.diag()))
    expected = 4 * F + (first.sqrt() - second.sqrt()).square().sum()
    assert found == pytest.approx(expected.item(), rel=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_equals_scipy_and_torchmetrics_and_is_symmetric(seed):
    first, second = correlated(seed), correlated(seed + 100, count=300)
    found = frechet_distance(moments(first), moments(second))
    statistics = [(x.mean(0), x.T.cov()) for x in (first, second)]
    (mean1, cov1), (mean2, cov2) = statistics
    root = scipy.linalg.sqrtm((cov1 @ cov2).numpy()).real
    by_scipy = (mean1 - mean2).square().sum() + (cov1 + cov2).trace() - 2 * np.trace(root)
    assert found == pytest.approx(float(by_scipy), rel=1e-9)
    assert found == pytest.approx(_compute_fid(mean1, cov1, mean2, cov2).item(), rel=1e-9)
    assert found == pytest.approx(frechet_distance(moments(second), moments(first)), rel=1e-11)


class Flatten(nn.Flatten):
    num_features = F


def test_equals_torchmetrics_on_the_same_images():
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.rand(n, 3, 2, 2, generator=generator) for n in (200, 150))
    metric = FrechetInceptionDistance(feature=Flatten())
    metric.update(real, real=True)
    metric.update(fake, real=False)
    found = frechet_distance(moments(real.flatten(1)), moments(fake.flatten(1)))
    assert found == pytest.approx(metric.compute().item(), rel=1e-5)  # torchmetrics: float32


@pytest.mark.parametrize("count", [2, F])
def test_a_singular_covariance_warns_and_stays_finite(count):
    reference, few = correlated(0), correlated(1)[:count]
    with pytest.warns(UserWarning, match=f"the other covariance .* singular with {count} samples"):
        found = frechet_distance(moments(reference), moments(few))
    with pytest.warns(UserWarning, match="the reference covariance"):
        assert frechet_distance(moments(few), moments(reference)) == pytest.approx(found, rel=1e-6)
    root = scipy.linalg.sqrtm((reference.T.cov() @ few.T.cov()).numpy()).real
    expected = (reference.mean(0) - few.mean(0)).square().sum()
    expected += reference.T.cov().trace() + few.T.cov().trace() - 2 * np.trace(root)
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_a_collapsed_generator_has_a_finite_distance():
    reference = correlated(0)
    collapsed = torch.ones(100, F, dtype=torch.float64)
    expected = (reference.mean(0) - 1).square().sum() + reference.T.cov().trace()
    found = frechet_distance(moments(reference), moments(collapsed))
    assert found == pytest.approx(expected.item(), rel=1e-6)


def test_enough_samples_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frechet_distance(moments(correlated(0)), moments(correlated(1)[: F + 1]))


@pytest.mark.filterwarnings("ignore:.*singular")
@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_samples_are_refused(count):
    few = moments(correlated(0)[:count])
    for pair in ((few, moments(correlated(1))), (moments(correlated(1)), few)):
        with pytest.raises(ValueError, match=f"at least 2 samples, got {count}"):
            frechet_distance(*pair)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_non_finite_features_are_refused(value):
    features = correlated(0)
    features[7, 3] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        frechet_distance(moments(correlated(1)), moments(features))
