import pytest
import torch

from benchmarks import prdc as benchmark
from zoo.metrics.prdc import prdc


def test_both_ways_are_compared_and_agree(monkeypatch):
    monkeypatch.setattr(benchmark, "FEATURES", 64)
    ours, theirs = benchmark.compare(300, 1, (prdc, benchmark.in_float64))
    assert min(ours, theirs) > 0
    real = benchmark.features(300, 1)
    assert real.shape == (300, 64)
    assert not torch.equal(real, benchmark.features(300, 2))


def test_different_results_are_refused(monkeypatch):
    monkeypatch.setattr(benchmark, "FEATURES", 64)
    with pytest.raises(SystemExit, match="the results differ"):
        benchmark.compare(300, 1, (prdc, lambda real, fake: prdc(real, fake, precision_k=1)))
