import math
import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torchmetrics.image.fid import FrechetInceptionDistance, _compute_fid

from zoo.metrics import frechet
from zoo.metrics.frechet import (
    Moments,
    extrapolated_distance,
    frechet_distance,
    trace_of_root,
)

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
    centered = moments(features.double() - 1e3)
    other = correlated(1)
    difference = frechet_distance(shifted, moments(other + 1e3)) - frechet_distance(
        centered + centered, moments(other)
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
    way_out = f"only {count} images and {F} features .* singular.* Use {F + 1} images or more"
    with pytest.warns(
        UserWarning, match=f"of {count} images from {len(reference)}: with {way_out}"
    ):
        found = frechet_distance(moments(reference), moments(few))
    with pytest.warns(
        UserWarning, match=f"of {len(reference)} images from {count}: with {way_out}"
    ):
        assert frechet_distance(moments(few), moments(reference)) == pytest.approx(found, rel=1e-6)
    with pytest.warns(UserWarning, match="singular") as both:
        frechet_distance(moments(few), moments(few))
    assert len(both) == 1
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


@pytest.mark.parametrize("count", [3, F, 500])
def test_moments_of_a_matrix_are_those_of_its_batches(count, monkeypatch):
    monkeypatch.setattr(frechet, "CHUNK", 64)
    features = correlated(0, offset=1e3).float()[:count]
    found, expected = Moments.of(features), moments(features)
    assert torch.allclose(found.state, expected.state, rtol=1e-14, atol=0)
    assert torch.allclose(found.root @ found.root.T, features.double().T.cov(), rtol=0, atol=1e-8)


class LargestDouble(TorchDispatchMode):
    """The number of elements of the largest float64 tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.dtype == torch.float64:
            self.elements = max(self.elements, result.numel())
        return result


def test_a_matrix_is_never_float64_as_a_whole(monkeypatch):
    monkeypatch.setattr(frechet, "CHUNK", 64)
    features = correlated(0, 5000).float()
    with LargestDouble() as largest:
        Moments.of(features)
    assert largest.elements == 64 * F


@pytest.mark.parametrize("count", [2, F // 2, F])
def test_the_root_of_few_samples_is_thin_until_the_next_update(count):
    collected = Moments.of(correlated(0, count))
    assert collected.root.shape == (F, count)
    assert collected.columns == count
    collected.update(correlated(1))
    assert collected.root.shape == (F, F)
    assert torch.allclose(collected.root @ collected.root.T, collected.covariance, atol=1e-10)
    assert Moments.of(correlated(0, F + 1)).columns == F


@pytest.mark.filterwarnings("ignore:.*singular")
@pytest.mark.parametrize(
    ("first", "second"), [(500, 5), (5, 500), (5, 7), (7, 5), (5, 5), (2, F), (F, 500)]
)
def test_few_samples_need_no_root_of_a_covariance(first, second, monkeypatch):
    monkeypatch.setattr(torch.linalg, "eigh", None)
    reference, other = correlated(0, first), correlated(1, second)
    found = frechet_distance(Moments.of(reference), Moments.of(other))
    # tr (Σ1 Σ2)^½ is the sum of the singular values of R1ᵀ R2, exact to rounding.
    roots = [(x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in (reference, other)]
    expected = (reference.mean(0) - other.mean(0)).square().sum()
    expected += sum(root.square().sum() for root in roots)
    expected -= 2 * torch.linalg.svdvals(roots[0] @ roots[1].T).sum()
    assert found == pytest.approx(expected.item(), rel=1e-8)


def test_two_sets_of_few_samples_need_no_covariance(monkeypatch):
    first, second = Moments.of(correlated(0, 5)), Moments.of(correlated(1, 7))
    expected = torch.linalg.svdvals(first.root.T @ second.root).sum().item()
    monkeypatch.setattr(Moments, "covariance", None)
    assert trace_of_root(first, second).item() == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("count", [5, 500])
def test_few_samples_have_the_distance_that_scipy_gives(count):
    first, second = correlated(0), correlated(1, count)
    found = trace_of_root(Moments.of(first), Moments.of(second)).item()
    root = scipy.linalg.sqrtm((first.T.cov() @ second.T.cov()).numpy())
    assert found == pytest.approx(np.trace(root).real, rel=1e-6 if count < F else 1e-12)


def test_a_second_distance_costs_one_eigenvalue_problem(monkeypatch):
    calls = []

    def counted(name):
        function = getattr(torch.linalg, name)
        return lambda matrix: calls.append(name) or function(matrix)

    for name in ("eigh", "eigvalsh"):
        monkeypatch.setattr(torch.linalg, name, counted(name))
    reference = Moments.of(correlated(0))
    for seed in (1, 2):
        frechet_distance(reference, Moments.of(correlated(seed)))
    assert calls == ["eigh", "eigvalsh", "eigvalsh"]


@pytest.mark.filterwarnings("ignore:.*singular")
@pytest.mark.parametrize("count", [5, 500])
def test_moments_with_a_stored_root_compute_none(count, monkeypatch):
    known, other = Moments.of(correlated(0, count)), Moments.of(correlated(1))
    expected = frechet_distance(known, other)
    state, root = known.state.clone(), known.root.clone()
    monkeypatch.setattr(torch.linalg, "eigh", None)
    rebuilt = Moments(F, state, root)
    assert rebuilt.root is root
    assert frechet_distance(rebuilt, other) == pytest.approx(expected, rel=1e-12)


@pytest.mark.filterwarnings("ignore:.*singular")
@pytest.mark.parametrize("count", [0, 1])
def test_a_matrix_of_fewer_than_two_samples_is_refused(count):
    few, many = Moments.of(correlated(0)[:count]), Moments.of(correlated(1))
    for pair in ((few, many), (many, few)):
        with pytest.raises(ValueError, match=f"at least 2 samples, got {count}"):
            frechet_distance(*pair)
    with pytest.raises(ValueError, match="at least 2 samples"):
        _ = few.root


@pytest.mark.filterwarnings("ignore:.*singular")
@pytest.mark.parametrize("count", [5, 500])
def test_a_matrix_with_non_finite_features_is_refused(count):
    features = correlated(0, count)
    features[3, 3] = math.nan
    for pair in ((features, correlated(1)), (correlated(1), features)):
        with pytest.raises(ValueError, match="NaN or infinity"):
            frechet_distance(*map(Moments.of, pair))


def test_a_distance_is_extrapolated_along_the_line_through_all_features_and_their_halves():
    generator = torch.Generator().manual_seed(0)
    reference = Moments.of(torch.randn(500, 3, generator=generator))
    features = torch.randn(40, 3, generator=generator)
    whole = frechet_distance(reference, Moments.of(features))
    found = {count: extrapolated_distance(reference, features, count) for count in (20, 40, 80)}
    assert found[40] == pytest.approx(whole)
    assert found[20] > whole  # smaller samples have larger distances
    assert found[20] - found[40] == pytest.approx(2 * (found[40] - found[80]))  # in 1 / count
