"""The counting of modes, on points made by hand."""

import math

import pytest
import torch

from zoo.metrics.mode_coverage import modes

CENTERS = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])


def of(points, centers=CENTERS, sigma=1.0):
    found = modes(torch.tensor(points), centers, sigma)
    assert list(found) == ["modes_covered_3sigma", "high_quality_3sigma", "reverse_kl_3sigma"]
    return list(found.values())


def test_the_centers_themselves_are_perfect():
    assert of(CENTERS.tolist()) == [4, 1.0, pytest.approx(0, abs=1e-12)]


def test_one_mode_alone():
    covered, share, divergence = of([[0.5, 0.5], [0.0, -2.0], [9.5, 5.0], [50.0, 50.0]])
    assert (covered, share) == (1, 0.5)
    assert divergence == pytest.approx(math.log(4))


def test_the_reverse_divergence_is_that_of_the_good_points():
    """3 at one, 1 at another; those far away count for the share alone."""
    points = [[0.0, 0.0]] * 3 + [[10.0, 1.0]] + [[5.0, 5.0]] * 4
    covered, share, divergence = of(points)
    assert (covered, share) == (2, 0.5)
    expected = 0.75 * math.log(0.75 * 4) + 0.25 * math.log(0.25 * 4)
    assert divergence == pytest.approx(expected)


def test_the_reach_is_below_3_sigma_whatever_the_direction():
    diagonal = 3 / math.sqrt(2)
    inside = [[2.999, 0.0], [10.0 - 2.999, 0.0], [diagonal - 1e-3, diagonal - 1e-3]]
    outside = [[3.0, 0.0], [10.0 - 3.001, 0.0], [diagonal + 1e-3, diagonal + 1e-3]]
    assert of(inside)[:2] == [2, 1.0]
    assert of(outside)[:2] == [0, 0.0]
    assert of(inside, sigma=0.5)[:2] == [0, 0.0]


def test_a_point_belongs_to_the_nearest_center_alone():
    assert of([[4.0, 0.0]], sigma=100.0)[0] == 1


def test_without_good_points_the_divergence_is_the_worst():
    assert of([[5.0, 5.0], [-50.0, math.inf]]) == [0, 0.0, pytest.approx(math.log(4))]


def test_the_mixture_itself():
    generator = torch.Generator().manual_seed(0)
    mode = torch.randint(4, (100_000,), generator=generator)
    points = CENTERS[mode] + 0.1 * torch.randn(100_000, 2, generator=generator)
    covered, share, divergence = of(points.tolist(), sigma=0.1)
    assert covered == 4
    assert share == pytest.approx(1 - math.exp(-4.5), abs=1.5e-3)
    assert divergence == pytest.approx(0, abs=1e-3)


def test_many_float32_points_far_from_the_origin():
    """Where |x|² + |y|² - 2xy in float32 would lose the distance."""
    centers = torch.tensor([[1000.0, 1000.0], [1001.0, 1000.0]])
    points = centers.repeat(50, 1) + torch.tensor([0.0, 0.25])
    assert of(points.tolist(), centers, sigma=0.1)[:2] == [2, 1.0]
    assert of(points.tolist(), centers, sigma=0.08)[:2] == [0, 0.0]


def test_the_numbers_are_plain():
    assert [type(value) for value in of([[0.0, 0.0]])] == [int, float, float]


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="got none"):
        modes(torch.zeros(0, 2), CENTERS, 1.0)
    with pytest.raises(ValueError, match="contain NaN"):
        of([[0.0, math.nan]])
