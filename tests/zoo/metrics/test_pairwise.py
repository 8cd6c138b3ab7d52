"""Distances in float32 decide only what their rounding errors cannot change."""

import pytest
import torch

from zoo.metrics import pairwise
from zoo.metrics.pairwise import Points, nearest_distances, squared_distances
from zoo.metrics.prdc import prdc

K, BLOCK = 5, 64


def normal(seed, count=200, width=300, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(count, width, generator=generator)


def corners(seed):
    """Corners of a simplex, whose distances are 2 but for 1e-6: less than float32's errors."""
    return torch.eye(200, 300) + normal(seed, scale=1e-7)


SETS = {
    "normal": (normal(0), normal(1)),
    "far from the origin": (normal(0) + 1e3, normal(1) + 1e3),
    "near ties": (corners(0), corners(1)),
    "ties": (normal(0, width=3, scale=2).round(), normal(1, width=3, scale=2).round()),
    "duplicates": (normal(0, 20).repeat(10, 1), normal(0, 20).repeat(10, 1)),
    "one image": (normal(0), normal(0)[:1].repeat(200, 1)),
    "an outlier": (torch.cat([normal(0, 199), normal(1, 1) * 1e4]), normal(2)),
    "large": (normal(0, scale=1e18), normal(1, scale=1e18)),
    "one large": (torch.cat([normal(0, 199), normal(1, 1) * 1e18]), normal(2)),
    "small": (normal(0, scale=1e-22), normal(1, scale=1e-22)),
    "float64": (normal(0).double() + 1e6, normal(1).double() + 1e6),
    "bfloat16": (normal(0).bfloat16(), normal(1).bfloat16()),
}


def radii(features, origin):
    found = squared_distances(features, features, origin)
    return found.fill_diagonal_(torch.inf).topk(K, largest=False).values


def in_float64(real, fake):
    """`prdc` of all float64 distances."""
    origin = real.mean(dim=0)
    between = squared_distances(fake, real, origin)
    of_real, of_fake = radii(real, origin), radii(fake, origin)[:, 2:3]
    within = between < of_real[:, 4]
    return (
        (between <= of_real[:, 2]).any(1).sum().item() / len(fake),
        (between <= of_fake).any(0).sum().item() / len(real),
        within.sum().item() / (5 * len(fake)),
        within.any(0).sum().item() / len(real),
    )


@pytest.mark.parametrize("name", SETS)
def test_results_are_those_of_float64_distances(name):
    real, fake = SETS[name]
    origin = real.mean(dim=0)
    for features in (real, fake):
        found = nearest_distances(Points(features, origin), K, BLOCK)
        expected = radii(features, origin)
        # The formula of whole matrices loses 1e-15 of the norms, which is one float32 step at most.
        close = 2e-7 if features.dtype == torch.float64 or name == "far from the origin" else 0
        assert torch.allclose(found, expected, rtol=close, atol=0)
    assert prdc(real, fake, block=BLOCK) == in_float64(real, fake)


def test_float32_alone_would_be_wrong(monkeypatch):
    monkeypatch.setattr(pairwise, "UNIT", 0.0)
    wrong = [name for name, sets in SETS.items() if prdc(*sets, block=BLOCK) != in_float64(*sets)]
    assert "near ties" in wrong
    assert "far from the origin" not in wrong, "the origin is among the features"


@pytest.fixture
def work(monkeypatch):
    """[pairs computed again, float64 products]"""
    counts = [0, 0]

    def count(name, place, size):
        original = getattr(pairwise, name)

        def counted(*args):
            counts[place] += size(*args)
            return original(*args)

        monkeypatch.setattr(pairwise, name, counted)

    count("distances_of_pairs", 0, lambda rows, columns, i, j: len(i))
    count("squared_distances", 1, lambda rows, columns, origin: 1)
    return counts


def test_few_distances_are_float64(work):
    real, fake = normal(0, 1000), normal(1, 1000)
    prdc(real, fake)
    pairs, products = work
    assert products == 0
    # At least the 5 and 3 nearest; of a million pairs between the sets, few are in doubt.
    assert 8000 <= pairs < 9000


def test_float64_products_serve_where_most_distances_are_in_doubt(work):
    real = normal(0, 10).repeat(20, 1)
    prdc(real, real, block=100)
    pairs, products = work
    # Of each row all copies are nearest: 2 blocks of rows in each set, and 2 x 2 tiles.
    assert products == 2 + 2 + 4
    assert pairs <= 2 * 200 * (5 + pairwise.SPARE)


def test_each_pair_within_a_set_is_multiplied_once(monkeypatch):
    tiles = []
    product = pairwise._product

    def counted(left, right, *norms):
        tiles.append(len(left) * len(right))
        return product(left, right, *norms)

    monkeypatch.setattr(pairwise, "_product", counted)
    features = normal(0, 256)
    nearest_distances(Points(features, features.mean(0)), K, 64)
    assert sum(tiles) == (4 + 3 + 2 + 1) * 64 * 64
