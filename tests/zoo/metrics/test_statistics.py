"""Stored means and covariances are read as other tools write them, and checked."""

import numpy as np
import pytest
import torch

from zoo.config.errors import UserError
from zoo.metrics.frechet import Moments, frechet_distance
from zoo.metrics.statistics import is_statistics, read_statistics, write_statistics


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(count, 6, generator=generator) + 3 for count in (50, 40)]


def test_moments_of_statistics_have_them(features):
    moments = Moments.of(features[0])
    for count in (7, 50, 10**6):
        found = Moments.from_statistics(moments.mean, moments.covariance, count)
        assert found.count == count
        assert torch.allclose(found.mean, moments.mean, rtol=1e-12)
        assert torch.allclose(found.covariance, moments.covariance, rtol=1e-9, atol=1e-12)


def test_what_is_written_is_read(features, tmp_path):
    file = str(tmp_path / "stored.npz")
    real, fake = map(Moments.of, features)
    write_statistics(file, real, "mine")
    assert is_statistics(file)
    stored = read_statistics(file)
    assert stored.extractor == "mine"
    assert stored.moments.count == 50
    expected = frechet_distance(real, fake)
    assert frechet_distance(stored.moments, fake) == pytest.approx(expected, rel=1e-9)
    stored.check_extractor("mine", 6)
    with pytest.raises(UserError, match="features of mine, not of other"):
        stored.check_extractor("other", 6)


def test_the_file_of_another_tool_is_read(features, tmp_path, recwarn):
    """pytorch-fid writes numpy's mean and covariance, without a count or a name."""
    file = tmp_path / "theirs.npz"
    values = features[0].double().numpy()
    np.savez_compressed(file, mu=np.mean(values, axis=0), sigma=np.cov(values, rowvar=False))
    stored = read_statistics(str(file))
    fake = Moments.of(features[1])
    expected = frechet_distance(Moments.of(features[0]), fake)
    assert frechet_distance(stored.moments, fake) == pytest.approx(expected, rel=1e-9)
    assert not recwarn.list  # the unknown number of images is not taken for too few
    stored.check_extractor("any", None)
    with pytest.raises(UserError, match="have 6 features, and any has 64"):
        stored.check_extractor("any", 64)


def test_folders_and_files_of_images_are_no_statistics(tmp_path):
    np.savez(tmp_path / "images.npz", images=np.zeros((2, 8, 8), dtype=np.uint8))
    (tmp_path / "text.npz").write_text("no arrays")
    for path in (tmp_path, tmp_path / "images.npz", tmp_path / "text.npz", tmp_path / "missing"):
        assert not is_statistics(str(path))


@pytest.mark.parametrize(
    ("mean", "covariance", "message"),
    [
        (np.zeros(3), np.eye(4), r"mu \(3,\) and sigma \(4, 4\): they must be \(F,\) and \(F, F\)"),
        (np.zeros((3, 1)), np.eye(3), r"mu \(3, 1\)"),
        (np.zeros(0), np.zeros((0, 0)), r"mu \(0,\)"),
        (np.zeros(3, dtype=int), np.eye(3), "mu of int64"),
        (np.full(3, np.nan), np.eye(3), "contains NaN or infinity"),
        (np.zeros(2), np.array([[1.0, 2.0], [0.0, 1.0]]), "sigma is not symmetric"),
    ],
)
def test_wrong_arrays_are_refused(mean, covariance, message, tmp_path):
    file = tmp_path / "wrong.npz"
    np.savez(file, mu=mean, sigma=covariance)
    with pytest.raises(ValueError, match=message) as error:
        read_statistics(str(file))
    assert str(file) in str(error.value)
