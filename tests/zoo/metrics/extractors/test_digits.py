import pytest
import torch
from torchvision.transforms.v2.functional import gaussian_blur, resize

from datamodules.digits import Digits
from zoo.metrics.extractors import digits
from zoo.metrics.extractors.base import load_extractor, read_weights
from zoo.metrics.frechet import Moments, frechet_distance


@pytest.fixture(scope="module")
def extractor():
    return load_extractor("digits")


@pytest.fixture(scope="module")
def splits():
    data = Digits()
    data.setup()
    return {split: next(iter(data.loader(split, batch_size=2000))) for split in ("train", "test")}


@pytest.fixture(scope="module")
def images(splits):
    return splits["test"]["image"]


def moments(extractor, images):
    collected = Moments(64)
    collected.update(extractor(images))
    return collected


def test_shipped_weights_know_the_test_digits(extractor, images, splits):
    assert len(images) == 360
    found = extractor.network.logits(images).argmax(dim=1)
    assert (found == splits["test"]["label"]).double().mean() >= 0.97


def test_features_and_probabilities(extractor, images):
    features = extractor(images)
    assert features.shape == (360, 64)
    assert features.dtype == torch.float32
    logits = extractor.network.logits(images)
    assert torch.equal(logits, extractor.network.head(features))
    weights = logits.double().exp()
    expected = weights / weights.sum(dim=1, keepdim=True)
    assert torch.allclose(extractor.classify(features).double(), expected, rtol=0, atol=1e-6)


def test_extractor_is_frozen_and_in_eval_mode(extractor, images):
    assert not any(module.training for module in extractor.modules())
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    assert extractor.name == "digits"


def test_features_do_not_depend_on_the_batch(extractor, images):
    split = torch.cat([extractor(chunk) for chunk in images.split([1, 7, 100, 252])])
    assert torch.allclose(split, extractor(images), rtol=0, atol=1e-5)


def test_gray_and_the_same_gray_in_three_channels_are_one_image(extractor, images):
    color = images.expand(-1, 3, -1, -1)
    assert torch.allclose(extractor(color), extractor(images), rtol=0, atol=1e-4)


def test_each_color_counts(extractor, images):
    for channel in range(3):
        color = images.repeat(1, 3, 1, 1)
        color[:, channel] = 0
        assert (extractor(color) - extractor(images)).abs().mean() > 0.1


@pytest.mark.parametrize("side", [16, 28, 32])
def test_other_sizes_are_resized_with_antialiasing(extractor, images, side):
    enlarged = images.repeat_interleave(side // 8 + 1, -1).repeat_interleave(side // 8 + 1, -2)
    enlarged = resize(enlarged, [side, side], antialias=True)
    small = resize(enlarged.float(), [8, 8], antialias=True).round().to(torch.uint8)
    assert torch.allclose(extractor(enlarged), extractor(small), rtol=0, atol=0.2)


def test_floats_are_refused(extractor, images):
    with pytest.raises(TypeError, match="uint8"):
        extractor(images / 255)


def test_corrupted_weights_are_refused(tmp_path, monkeypatch):
    content = bytearray(digits.WEIGHTS.read_bytes())
    content[-1] ^= 1
    corrupted = tmp_path / "digits.safetensors"
    corrupted.write_bytes(content)
    monkeypatch.setattr(digits, "WEIGHTS", corrupted)
    with pytest.raises(ValueError, match=f"{corrupted} is damaged or another version: sha256"):
        load_extractor("digits")


def test_weights_are_what_the_extractor_is_made_of():
    weights = read_weights(digits.WEIGHTS, digits.SHA256)
    assert weights.keys() == digits.Classifier().state_dict().keys()


def noisy(images, level):
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images + level * noise).round().clamp(0, 255).to(torch.uint8)


def blurred(images, level):
    return gaussian_blur(images, [5, 5], level)


# Against other images than those damaged, noise below 16 gray levels drowns in the distance that
# 360 samples have by chance (about 4): there it need not grow.
@pytest.mark.parametrize(
    ("damage", "reference", "levels"),
    [
        (noisy, "test", (4, 8, 16, 32, 64, 128)),
        (noisy, "train", (16, 32, 64, 128)),
        (blurred, "test", (0.3, 0.4, 0.5, 0.7, 1, 2)),
        (blurred, "train", (0.4, 0.5, 0.7, 1, 2)),
    ],
)
def test_the_frechet_distance_grows_with_damage(extractor, splits, damage, reference, levels):
    images = splits["test"]["image"]
    real = moments(extractor, splits[reference]["image"])
    distances = [frechet_distance(real, moments(extractor, images))]
    for level in levels:
        distances.append(frechet_distance(real, moments(extractor, damage(images, level))))
        assert distances[-1] > 1.1 * distances[-2]
    assert distances[-1] > 20 * distances[0]


@pytest.mark.filterwarnings("ignore:.*singular")
def test_the_frechet_distance_sees_lost_variety(extractor, splits, images):
    train, labels = splits["train"]["image"], splits["train"]["label"]
    reference = moments(extractor, train)
    real = frechet_distance(reference, moments(extractor, images))
    means = torch.stack([train[labels == c].float().mean(dim=0) for c in range(10)])
    means = means.round().to(torch.uint8).repeat(36, 1, 1, 1)
    fewer = images[splits["test"]["label"] != 0]
    for poorer in (means, fewer):
        assert frechet_distance(reference, moments(extractor, poorer)) > 2 * real
