"""What a level draws against what it should: the criterion, and distances where they are known."""

import pytest
import torch
from torch import nn

from datamodules.digits import Digits
from tests import kit
from zoo.adversarial.lapgan import LAPGAN
from zoo.media.laplacian_pyramid import decompose
from zoo.metrics.cache_key import identity
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.features import DETAIL, image_features
from zoo.metrics.pyramid_levels import (
    approx_parzen,
    detail_numbers,
    distances,
    features_of_training,
    first_images,
)


def small(**parameters):
    shape = {"image_size": 8, "image_channels": 1, "width": 8, "base_width": 16, "latent_dim": 4}
    return LAPGAN(**shape | {"pyramid_levels": 1} | parameters).eval()


class Known(nn.Module):
    """A generator that gives the residuals it was told, with an error or without."""

    def __init__(self, residual, error=0.0):
        super().__init__()
        self.residual, self.error = residual, error

    def forward(self, noise, coarse, label):
        return self.residual[: len(coarse)] + self.error


def test_the_criterion_takes_the_nearest_draw_of_each_image():
    real = torch.zeros(2, 1, 2, 2)
    draws = [torch.ones(2, 1, 2, 2), torch.ones(2, 1, 2, 2)]
    draws[0][0] = 3.0  # image 0: norms 6 and 2; image 1: 2 and 8
    draws[1][1] = -4.0
    assert approx_parzen(real, draws).item() == 2
    assert approx_parzen(real, draws[:1]).item() == 4


@pytest.mark.parametrize("level", [0, 1])
def test_true_residuals_are_at_no_distance_and_have_the_true_spread(level):
    data, model = Digits(), small()
    real, _ = first_images(model, data, "val", 200)
    residual, _ = decompose(real, 1)[level]
    setattr(model, f"generator{level}", Known(residual))
    numbers = detail_numbers(model, level, data, "val")
    assert numbers == {
        f"approx_parzen{level}_137x32_val": 0,
        f"std_ratio{level}_137x32_val": pytest.approx(1, abs=1e-5),
    }
    setattr(model, f"generator{level}", Known(residual, 0.5))
    size = 8 // 2**level
    numbers = detail_numbers(model, level, data, "val")
    assert numbers[f"approx_parzen{level}_137x32_val"] == pytest.approx(0.5 * size, abs=1e-5)


def test_numbers_are_of_the_images_of_a_split():
    data = kit.Toy(count=20)
    numbers = detail_numbers(small(), 0, data, "test")
    assert set(numbers) == {"approx_parzen0_20x32_test", "std_ratio0_20x32_test"}
    assert detail_numbers(small(), 0, data, "val") == distances(small(), data, "val") == {}


def test_a_generator_of_nothing_refines_as_much_as_enlarging_does():
    """And one that knows the residuals of the test images brings them back."""
    data, model = Digits(), small()
    model.generator0 = Known(torch.zeros(360, 1, 8, 8))
    with torch.no_grad():
        numbers = distances(model, data, "test")
    real = numbers.pop("real_fid_digits_360_test")
    assert set(numbers) == {f"fid_{w}_digits_360_test" for w in ("chain", "refined", "unrefined")}
    assert 3 < real < min(numbers.values()), "of as many test images"
    unrefined = numbers["fid_unrefined_digits_360_test"]
    assert numbers["fid_refined_digits_360_test"] == unrefined
    assert numbers["fid_chain_digits_360_test"] > unrefined, "an untrained base"
    real, _ = first_images(model, data, "test", 100)
    model.generator0 = Known(decompose(real, 1)[0][0])
    with torch.no_grad():
        numbers = distances(model, data, "test", count=100)
    assert numbers["fid_refined_digits_100_test"] < numbers["fid_unrefined_digits_100_test"] / 3


def test_data_without_an_extractor_have_no_distances():
    data = kit.Toy()
    data.extractor = None
    assert distances(small(), data, "test") == {}


def test_features_of_training_images_have_the_cache_entries_of_other_metrics(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    data, extractor = Digits(), load_extractor("digits")
    expected = image_features(extractor, data.source("train")).values
    entries = sorted(tmp_path.rglob("*.safetensors"))
    assert torch.equal(features_of_training(extractor, data), expected)
    assert sorted(tmp_path.rglob("*.safetensors")) == entries
    # An entry also holds statistics of the pixels: other statistics need other entries.
    other = {DETAIL: "other statistics"}
    monkeypatch.setattr(
        "zoo.metrics.features.identity", lambda module: other.get(module) or identity(module)
    )
    features_of_training(extractor, data)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2 * len(entries)
