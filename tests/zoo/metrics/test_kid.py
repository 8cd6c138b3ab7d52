import math

import pytest
import torch
from torch_fidelity.metric_kid import kid_features_to_metric
from torchmetrics.image.kid import poly_mmd

from zoo.metrics.kid import kid, squared_mmd


def normal(seed, count=40, width=5, mean=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator) + mean


def by_loops(real, fake):
    """Unbiased MMD² term by term, in Python floats."""

    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3

    def within(rows):
        pairs = [kernel(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]
        return sum(pairs) / len(pairs)

    real, fake = real.double().tolist(), fake.double().tolist()
    between = [kernel(x, y) for x in real for y in fake]
    return within(real) + within(fake) - 2 * sum(between) / len(between)


def test_hand_computed():
    real, fake = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [-1.0]])
    # k(0, 1) = 1; k(2, -1) = -1; k(0, ·) = 1, k(1, 2) = 27, k(1, -1) = 0
    assert squared_mmd(real, fake).item() == pytest.approx(1 - 1 - 2 * (1 + 1 + 27 + 0) / 4)


def test_equals_explicit_loops():
    real, fake = normal(0, 7), normal(1, 4, mean=0.5)
    assert squared_mmd(real, fake).item() == pytest.approx(by_loops(real, fake), rel=1e-12)
    assert squared_mmd(fake, real).item() == pytest.approx(by_loops(real, fake), rel=1e-12)


def test_float32_features_with_an_offset():
    real, fake = normal(0, 30, mean=30.0), normal(1, 30, mean=30.0)
    found = squared_mmd(real, fake)  # kernels of 7e8
    assert found.item() == pytest.approx(by_loops(real, fake), rel=1e-9)


def standard_errors(values, expected):
    values = torch.tensor(values)
    return ((values.mean() - expected) / (values.std() / len(values) ** 0.5)).item()


def test_equal_distributions_have_mean_zero():
    values = [squared_mmd(normal(2 * s, 10), normal(2 * s + 1, 15)).item() for s in range(500)]
    assert abs(standard_errors(values, 0)) < 3


def test_shifted_gaussians_have_the_analytic_value():
    shift = 0.5
    # In one dimension (xy + 1)³ compares the moments: 3 Δm₁² + 3 Δm₂² + Δm₃².
    expected = 3 * shift**2 + 3 * shift**4 + (shift**3 + 3 * shift) ** 2
    values = [
        squared_mmd(normal(2 * s, 200, 1), normal(2 * s + 1, 300, 1, mean=shift)).item()
        for s in range(300)
    ]
    assert abs(standard_errors(values, expected)) < 3
    assert torch.tensor(values).mean().item() == pytest.approx(expected, rel=0.05)


def test_mean_and_population_deviation_over_the_subsets_the_seed_draws():
    real, fake = normal(0), normal(1, 50)
    generator = torch.Generator().manual_seed(3)
    values = []
    for _ in range(4):
        chosen = [torch.randperm(n, generator=generator)[:6] for n in (40, 50)]
        values.append(by_loops(real[chosen[0]], fake[chosen[1]]))
    mean = sum(values) / 4
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 4)
    found = kid(real, fake, subsets=4, subset_size=6, seed=3)
    assert found == pytest.approx((mean, deviation, 6), rel=1e-9)


def test_only_the_seed_decides():
    real, fake = normal(0), normal(1)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = kid(real, fake, 5, 10)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert kid(real, fake, 5, 10) == first
    assert kid(real, fake, 5, 10, seed=1) != first


def test_equals_torchmetrics_and_torch_fidelity_where_the_subset_is_everything():
    real, fake = normal(0), normal(1, mean=0.3)
    found = kid(real, fake, subsets=3, subset_size=40)
    assert found.mean == pytest.approx(poly_mmd(real.double(), fake.double()).item(), rel=1e-9)
    theirs = kid_features_to_metric(
        real.double(), fake.double(), kid_subsets=3, kid_subset_size=40, verbose=False
    )
    assert found.mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)
    assert found.std == pytest.approx(0, abs=1e-9)


def test_agrees_with_torch_fidelity_on_other_subsets():
    real, fake = normal(0, 1000), normal(1, 1000, mean=0.3)
    found = kid(real, fake, subsets=200, subset_size=100)
    theirs = kid_features_to_metric(
        real.double(), fake.double(), kid_subsets=200, kid_subset_size=100, verbose=False
    )
    error = found.std / 200**0.5
    assert abs(found.mean - theirs["kernel_inception_distance_mean"]) < 4 * error
    assert found.std == pytest.approx(theirs["kernel_inception_distance_std"], rel=0.2)


@pytest.mark.parametrize(("reals", "fakes", "asked", "used"), [(9, 20, 15, 9), (20, 8, 15, 8)])
def test_a_subset_is_no_larger_than_the_smaller_set_and_says_so(reals, fakes, asked, used):
    real, fake = normal(0, reals), normal(1, fakes)
    lowered = kid(real, fake, 3, asked)
    assert lowered.subset_size == used
    assert lowered == kid(real, fake, 3, used)
    assert kid(real, fake, 3, 5).subset_size == 5


@pytest.mark.parametrize(("reals", "fakes", "size"), [(1, 9, 5), (9, 1, 5), (9, 0, 5), (9, 9, 1)])
def test_fewer_than_two_samples_are_refused(reals, fakes, size):
    message = f"got {reals} real and {fakes} generated ones for subset_size={size}: draw more"
    with pytest.raises(ValueError, match=message):
        kid(normal(0, reals), normal(1, fakes), subset_size=size)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_non_finite_features_are_refused(value, side):
    features = [normal(0), normal(1)]
    features[side][7, 3] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        kid(*features, subsets=1, subset_size=2)
