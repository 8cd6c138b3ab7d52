"""From the same images, by the same Inception, to the numbers of the tools in use."""

import pytest
import torch
import torch_fidelity
from torchmetrics.image.fid import FrechetInceptionDistance

from benchmarks.fid_tools import write_random_weights
from datamodules.loading.sources import InMemoryImages
from zoo.metrics.compute import measure
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.features import image_features

# Both tools take minutes for the roots of matrices of 2048 dimensions on a slow machine.
pytestmark = pytest.mark.slow

COUNT = 9  # of each set: as many as a subset of KID, so that no choice of theirs matters


class Images(torch.utils.data.Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, position):
        return self.images[position]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    return str(path), write_random_weights(path)


@pytest.fixture(scope="module")
def images():
    """Real and fake, (N, 3, 32, 32) each; the fakes are paler."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(2 * COUNT, 3, 8, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(noise, size=32, mode="bilinear")
    real, fake = (smooth * 255).to(torch.uint8).split(COUNT)
    return real, fake // 2 + 60


@pytest.fixture(scope="module")
def ours(weights, images, tmp_path_factory):
    path, sha256 = weights
    choice = {"_target_": "inception", "weights": path, "sha256": sha256}
    extractor = load_extractor(choice)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        sets = [image_features(extractor, InMemoryImages(s, torch.zeros(COUNT))) for s in images]
        with pytest.warns(UserWarning, match="singular"):
            found = measure(("fid", "kid"), *sets, extractor)
    return {name.partition("_inception")[0]: value for name, value in found.items()}


def test_torch_fidelity(ours, images, weights):
    theirs = torch_fidelity.calculate_metrics(
        input1=Images(images[0]),
        input2=Images(images[1]),
        fid=True,
        kid=True,
        kid_subset_size=COUNT,
        kid_subsets=2,
        cuda=False,
        batch_size=COUNT,
        verbose=False,
        cache=False,
        feature_extractor_weights_path=weights[0],
    )
    # They take the roots of the eigenvalues of a product of rank 8 in 2048 dimensions: rounding.
    assert ours["fid"] == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    assert ours["kid_subset9"] == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-4)


def test_torchmetrics(ours, images, weights):
    """Of FID with antialias=False, the resize of TensorFlow 1."""
    metric = FrechetInceptionDistance(
        feature=2048, antialias=False, feature_extractor_weights_path=weights[0]
    ).set_dtype(torch.float64)
    metric.update(images[0], real=True)
    metric.update(images[1], real=False)
    assert ours["fid"] == pytest.approx(metric.compute().item(), rel=1e-4)


def test_the_two_sets_are_not_alike(ours):
    assert ours["fid"] > 0.01
