"""MS-SSIM of pairs: equal images, independent ones, and a generator that ignores its noise."""

import pytest
import torch

from datamodules.digits import Digits
from tests import kit
from zoo.metrics.ms_ssim import class_ms_ssim, mean_similarity, ms_ssim, protocol, training_images


def noise(count, side=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 1, side, side), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("side", "window", "scales"), [(8, 3, 2), (16, 3, 3), (28, 11, 2), (64, 11, 3), (256, 11, 5)]
)
def test_the_protocol_fits_the_images(side, window, scales):
    found, betas = protocol(side)
    assert (found, len(betas)) == (window, scales)
    assert sum(betas) == pytest.approx(1)
    assert betas[1] / betas[0] == pytest.approx(0.2856 / 0.0448)
    images = noise(3, side)
    assert ms_ssim(images, images) == pytest.approx(1, abs=1e-5)
    assert (ms_ssim(images, noise(3, side, seed=1)) < 0.5).all()


def test_pairs_are_neighbors_of_the_same_class():
    one, other, third = noise(3)
    same = torch.stack([one, one, other, other])
    assert mean_similarity([same, torch.stack([third, third, one])]) == pytest.approx(1, abs=1e-5)
    mixed = mean_similarity([torch.stack([one, other]), torch.stack([third, third])])
    expected = (1 + ms_ssim(one[None], other[None]).item()) / 2
    assert mixed == pytest.approx(expected, abs=1e-5)


class Constant(torch.nn.Module):
    def forward(self, latent):
        return latent[:, -1, None, None, None].expand(-1, 1, 8, 8)


def test_a_generator_without_diversity_has_1():
    model, data = kit.build("acgan").eval(), Digits()
    model.generator = Constant()
    numbers = class_ms_ssim(model, data, pairs=5)
    name = "ms_ssim_within_classes_window3_scales2_5"
    assert set(numbers) == {name, f"real_{name}"}
    assert numbers[name] == pytest.approx(1, abs=1e-5)
    assert 0.1 < numbers[f"real_{name}"] < 0.8


def test_samples_have_the_class_that_is_measured():
    model, data = kit.build("acgan").eval(), Digits()
    asked = []

    def sample(count, condition):
        asked.append(condition["label"].tolist())
        return torch.zeros(count, 1, 8, 8)

    model.sample = sample
    class_ms_ssim(model, data, pairs=2)
    assert asked == [[number] * 4 for number in range(10)]


def test_training_images_are_of_each_class():
    data = Digits()
    images = training_images(data, 20)
    assert [len(of_class) for of_class in images] == [20] * 10
    train = data.source("train")[torch.arange(len(data.source("train")))]
    zeros = train["image"][train["label"] == 0]
    assert all((zeros == image).flatten(1).all(1).any() for image in images[0])


def test_other_classes_and_points_are_not_measured():
    assert class_ms_ssim(kit.build("acgan", classes=3), Digits()) == {}
