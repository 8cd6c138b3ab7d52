import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch_fidelity.metric_prc import calculate_precision_recall_full

from zoo.metrics import pairwise
from zoo.metrics.prdc import PRDC, prdc


def points(*values):
    return torch.tensor(values, dtype=torch.float32)[:, None]


def normal(seed, count=150, width=6, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(count, width, generator=generator)


def by_brute_force(real, fake, precision_k=3, coverage_k=5):
    """The papers' formulas on whole matrices of float64 distances."""

    def distances(rows, columns):
        return (rows[:, None].double() - columns.double()).norm(dim=2)

    def radii(features, k):
        others = distances(features, features).fill_diagonal_(math.inf)
        return others.sort(dim=1).values[:, k - 1]

    between = distances(fake, real)  # (M, N)
    strict = between < radii(real, coverage_k)
    return PRDC(
        precision=(between <= radii(real, precision_k)).any(1).double().mean().item(),
        recall=(between <= radii(fake, precision_k)[:, None]).any(0).double().mean().item(),
        density=strict.double().sum(1).mean().item() / coverage_k,
        coverage=strict.any(0).double().mean().item(),
    )


def test_real_balls_on_a_line():
    # Radii 1, 1, 2, 4. The fake at -1 is on a ball's edge; 5 is on one's edge and in another.
    found = prdc(points(0, 1, 3, 7), points(-1, 5, 11.5), precision_k=1, coverage_k=1)
    assert found == pytest.approx((2 / 3, 1, 1 / 3, 1 / 4))


def test_fake_balls_on_a_line():
    # Radii 1, 1, 16 of the fakes: 2 and 4 are on edges, and 0 is in no ball.
    found = prdc(points(0, 2, 10, 11), points(3, 4, 20), precision_k=1, coverage_k=1)
    assert found.recall == 3 / 4
    # Radii 2, 2, 1, 1 of the reals: 3 is in the ball of 2, 4 is on its edge, 20 is in none.
    assert found[0] == pytest.approx(2 / 3)
    assert found[2:] == pytest.approx((1 / 3, 1 / 4))


def test_each_pair_has_its_own_k():
    real, fake = points(0, 1, 3, 7), points(-1, 5, 11.5)
    # The second neighbors: radii 3, 2, 3, 6. In balls: -1 in one (on an edge), 5, 11.5 in one.
    wide = prdc(real, fake, precision_k=1, coverage_k=2)
    assert wide == pytest.approx((2 / 3, 1, (1 + 2 + 1) / 6, 3 / 4))
    assert prdc(real, fake, precision_k=2, coverage_k=1) == pytest.approx((1, 1, 1 / 3, 1 / 4))


@pytest.mark.parametrize(
    ("reals", "fakes", "scale", "offset"),
    [(150, 150, 1.0, 0.0), (150, 40, 0.5, 0.0), (60, 170, 1.5, 0.0), (150, 150, 1.2, 1e3)],
)
def test_equals_brute_force_and_torch_fidelity(reals, fakes, scale, offset):
    real, fake = normal(0, reals) + offset, normal(1, fakes, scale=scale) + 0.5 + offset
    found = prdc(real, fake)
    assert found == pytest.approx(by_brute_force(real, fake), rel=1e-12)
    theirs = calculate_precision_recall_full(fake.double(), real.double(), neighborhood=3)
    assert found[:2] == pytest.approx(theirs, rel=1e-6)


def test_the_defaults_are_those_of_the_papers():
    real, fake = normal(0), normal(1, scale=0.8)
    assert prdc(real, fake) == prdc(real, fake, precision_k=3, coverage_k=5)
    assert prdc(real, fake) != prdc(real, fake, precision_k=5, coverage_k=5)
    assert prdc(real, fake) != prdc(real, fake, precision_k=3, coverage_k=3)


@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize("block", [7, 64, 1024])
def test_equal_sets_score_one(offset, block):
    real = normal(0, width=300) + offset
    # Each sample is in its own ball and in those of the four it is nearer to than their fifth.
    assert prdc(real, real.clone(), block=block) == (1, 1, 1, 1)
    keyed_permutation = real[torch.randperm(150, generator=torch.Generator().manual_seed(1))]
    assert prdc(real, keyed_permutation, block=block) == (1, 1, 1, 1)


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_duplicates_have_distance_zero(offset):
    real = (normal(0, 20, width=300) + offset).repeat(7, 1)
    # The radii of the reals are 0: fakes are at distance 0 (<=), and none is nearer than that (<).
    assert prdc(real, real[:50]) == (1, 1, 0, 0)
    distances = pairwise.squared_distances(real, real, real.mean(0))
    assert (distances.diagonal() == 0).all()


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_near_duplicates_keep_their_distance(offset):
    real = normal(0, width=300) + offset
    near = real + 1e-3 * normal(1, width=300)
    found = pairwise.squared_distances(near, real, real.mean(0)).diagonal().double()
    expected = (near.double() - real.double()).square().sum(1)
    assert torch.allclose(found, expected, rtol=1e-6, atol=0)


def test_copies_of_one_real_sample_are_precise_without_recall():
    real = normal(0, width=300) + 1e3
    found = prdc(real, real[3].repeat(100, 1))
    assert (found.precision, found.recall) == (1, 1 / 150)


def test_far_sets_score_zero():
    assert prdc(normal(0), normal(1) + 100) == (0, 0, 0, 0)


@pytest.mark.parametrize("block", [1, 7, 64, 150, 151])
def test_blocks_change_nothing(block, monkeypatch):
    # Integers give many ties, and a mean that is no binary fraction leaves them inexact.
    counts = (31, 23) if block == 1 else (151, 97)  # a block of each pair takes seconds
    real, fake = (normal(seed, count, 3, 2).round() for seed, count in enumerate(counts))
    expected = by_brute_force(real, fake)
    assert prdc(real, fake, block=block) == pytest.approx(expected, rel=1e-12)
    monkeypatch.setattr(pairwise, "CHUNK", 13)
    assert prdc(real, fake, block=block) == pytest.approx(expected, rel=1e-12)


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize("copies", [1, 100])  # of many copies, all distances are in doubt
def test_no_tensor_is_larger_than_a_block(copies):
    real, fake = normal(0, 1200 // copies, 2).repeat(copies, 1), normal(1, 1000, 2)
    with Largest() as largest:
        prdc(real, fake, block=50)
    candidates = 1200 * (5 + pairwise.SPARE)
    assert largest.elements == (candidates if copies == 1 else 50 * 1200)


def test_a_progress_bar_counts_half_of_the_tiles_within_a_set():
    bars = []

    def bar(name, total, divided):
        bars.append([name, total, divided, 0])
        return lambda count: bars[-1].append(bars[-1].pop() + count)

    prdc(normal(0, 150), normal(1, 97), block=50, bar=bar)
    tiles = (3 + 2 + 1) + (2 + 1) + 3 * 2
    assert bars == [["prdc", tiles, False, tiles]]


@pytest.mark.parametrize(
    ("reals", "fakes", "message"),
    [
        (5, 9, "5-th nearest neighbor needs more than 5 real samples, got 5"),
        (9, 3, "3-th nearest neighbor needs more than 3 generated samples, got 3"),
        (9, 0, "got 0"),
    ],
)
def test_too_few_samples_are_refused(reals, fakes, message):
    with pytest.raises(ValueError, match=f"{message}: draw more samples or lower k"):
        prdc(normal(0, reals), normal(1, fakes))


def test_one_sample_more_than_k_is_enough():
    assert prdc(normal(0, 6), normal(1, 4)) == by_brute_force(normal(0, 6), normal(1, 4))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(("side", "name"), [(0, "real"), (1, "generated")])
def test_non_finite_features_are_refused(value, side, name):
    features = [normal(0), normal(1)]
    features[side][7, 3] = value
    with pytest.raises(ValueError, match=f"the {name} features contain NaN or infinity"):
        prdc(*features)
