import os
from pathlib import Path

import pytest
import torch

from datamodules.fashion_mnist import FashionMNIST
from datamodules.mnist import MNIST
from zoo.metrics.extractors import mnist
from zoo.metrics.extractors.base import load_extractor, read_weights


@pytest.fixture(scope="module")
def extractor():
    return load_extractor("mnist")


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (20, 1, 28, 28), generator=generator, dtype=torch.uint8)


def test_features_and_probabilities(extractor, images):
    features = extractor(images)
    assert features.shape == (20, extractor.num_features((1, 28, 28)))
    assert features.dtype == torch.float32
    logits = extractor.network.logits(images)
    assert torch.equal(logits, extractor.network.head(features))
    weights = logits.double().exp()
    expected = weights / weights.sum(dim=1, keepdim=True)
    assert torch.allclose(extractor.classify(features).double(), expected, rtol=0, atol=1e-6)


def test_features_do_not_depend_on_the_batch(extractor, images):
    split = torch.cat([extractor(chunk) for chunk in images.split([1, 7, 12])])
    assert torch.allclose(split, extractor(images), rtol=0, atol=1e-5)


def test_color_channels_are_averaged_and_sizes_changed(extractor, images):
    color = images.expand(-1, 3, -1, -1)
    assert torch.allclose(extractor(color), extractor(images), rtol=0, atol=1e-4)
    doubled = images.repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert extractor(doubled).shape == extractor(images).shape
    with pytest.raises(TypeError, match="uint8"):
        extractor(images / 255)


def test_weights_are_those_of_the_network():
    weights = read_weights(mnist.WEIGHTS, mnist.SHA256)
    assert weights.keys() == mnist.Classifier().state_dict().keys()


def test_it_measures_mnist_but_not_fashion_mnist():
    assert MNIST.extractor == "mnist"
    assert FashionMNIST.extractor == "inception"


@pytest.mark.skipif("ZOO_TEST_DATA" not in os.environ, reason="ZOO_TEST_DATA holds no mnist/")
def test_it_classifies_the_test_images(extractor):
    folder = Path(os.environ["ZOO_TEST_DATA"], "mnist")
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    batch = next(iter(MNIST(root=str(folder)).loader("test", batch_size=10000)))
    found = extractor.classify(extractor(batch["image"])).argmax(dim=1)
    assert (found == batch["label"]).double().mean() >= 0.993
