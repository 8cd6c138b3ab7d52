"""MiFID penalizes copies of training images, and nothing else."""

import pytest
import torch
from torchmetrics.image.mifid import _compute_cosine_distance

from zoo.metrics.compute import measure, real_metrics
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.feature_metrics import choose_metrics
from zoo.metrics.features import Features
from zoo.metrics.mifid import SMALLEST, mifid, nearest_cosine


def normal(count, seed, features=16):
    return torch.randn(count, features, generator=torch.Generator().manual_seed(seed))


def test_the_distance_by_hand():
    real = torch.tensor([[1.0, 0], [0, 2]])
    fake = torch.tensor([[3.0, 0], [-5, 0], [1, 1], [0, 0]])  # 0, 0 by |cos|, 1 - sqrt(1/2), 1
    expected = (0 + 0 + 1 - 0.5**0.5 + 1) / 4
    assert nearest_cosine(fake, real) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("block", [7, 64, 1000])
def test_it_equals_torchmetrics_with_the_sets_in_the_papers_order(block):
    fake, real = normal(50, 0), normal(80, 1)
    theirs = _compute_cosine_distance(fake.double(), real.double(), cosine_distance_eps=2)
    assert nearest_cosine(fake, real, block) == pytest.approx(theirs.item(), rel=1e-6)


def test_copies_have_no_distance_and_a_huge_mifid():
    real = normal(300, 0) + 50  # of little spread, so that float32 rounds most of the distance
    copies = nearest_cosine(real[:100], real)
    assert copies < 1e-14
    assert nearest_cosine(normal(100, 1) + 50, real) > 1e-6
    assert mifid(2.0, copies) > 1e13
    assert mifid(2.0, 0.0) == 2 / SMALLEST


def test_only_distances_below_the_threshold_count():
    assert mifid(3.0, 0.099) == pytest.approx(3 / 0.099)
    assert mifid(3.0, 0.1) == mifid(3.0, 0.7) == 3


def test_wrong_sets_are_refused():
    with pytest.raises(ValueError, match="must be"):
        nearest_cosine(normal(3, 0), normal(3, 0, features=4))
    with pytest.raises(ValueError, match="0 samples and 3 training images"):
        nearest_cosine(normal(0, 0), normal(3, 0))


def test_it_is_measured_on_request():
    extractor = load_extractor("pixels")
    assert "mifid" not in choose_metrics(None, extractor, 100)
    chosen = choose_metrics(("fid", "mifid"), extractor, 100)
    real, fake = (Features(normal(100, seed), None) for seed in (0, 1))
    found = measure(chosen, real, fake, extractor)
    cosine = nearest_cosine(fake.values, real.values)
    assert found["nearest_cosine_pixels_100"] == cosine
    assert found["mifid_pixels_100"] == mifid(found["fid_pixels_100"], cosine)
    reference = real_metrics(("mifid",), real, fake, extractor, 100)
    assert reference["real_nearest_cosine_pixels_100"] == cosine
