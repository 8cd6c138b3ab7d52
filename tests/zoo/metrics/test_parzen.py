"""The Parzen window against direct sums, an analytic entropy and the known score of MNIST."""

import gzip
import math
import os
import warnings
from pathlib import Path

import pytest
import torch
from torch.distributions import Normal

from zoo.metrics.parzen import SIGMAS, log_likelihoods, parzen

DOUBLE = torch.float64


def normal(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def blob(count, seed, sigma=0.05, dimensions=2):
    """Points around the middle of [0, 1]."""
    return 0.5 + sigma * normal((count, dimensions), seed)


def test_one_kernel_is_a_gaussian():
    sample, images = torch.rand(1, 5, dtype=DOUBLE), torch.rand(7, 5, dtype=DOUBLE)
    found = log_likelihoods(sample, images, [0.3, 2.0])
    for row, sigma in zip(found, (0.3, 2.0), strict=True):
        assert torch.allclose(row, Normal(sample, sigma).log_prob(images).sum(dim=1), atol=1e-12)


def test_two_kernels_in_one_dimension():
    samples, images = torch.tensor([[0.2], [0.9]]), torch.tensor([[0.0], [0.5], [1.0]])
    (found,) = log_likelihoods(samples, images, [0.1])
    for x, value in zip(images.flatten().tolist(), found.tolist(), strict=True):
        density = sum(math.exp(-((x - m) ** 2) / 0.02) for m in (0.2, 0.9)) / 2
        expected = math.log(density / math.sqrt(2 * math.pi * 0.01))
        assert value == pytest.approx(expected, abs=1e-5)  # 0.2 in float32


def test_a_far_image_has_no_infinite_loss():
    found = log_likelihoods(torch.zeros(3, 784), torch.ones(2, 784), [0.01])
    expected = -784 / 2e-4 - 784 * math.log(0.01 * math.sqrt(2 * math.pi))
    assert found.flatten().tolist() == pytest.approx([expected] * 2, rel=1e-9)


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_blocks_change_nothing(block):
    samples, images = torch.rand(50, 3, dtype=DOUBLE), torch.rand(33, 3, dtype=DOUBLE)
    whole = log_likelihoods(samples, images, [0.1, 0.5])
    assert whole.shape == (2, 33)
    found = log_likelihoods(samples, images, [0.1, 0.5], block)
    assert torch.allclose(found, whole, rtol=0, atol=1e-12)


def test_many_samples_of_a_gaussian_give_the_convolved_one():
    """N(m, a²) smoothed by N(0, s²) is N(m, a² + s²), whose mean log-likelihood is known."""
    samples, validation, test = (blob(8_000, seed) for seed in (1, 2, 3))
    found = parzen(samples, validation[:1000], test, sigmas=[0.1])
    variance = 0.05**2 + 0.1**2
    expected = -math.log(2 * math.pi * variance) - 0.05**2 / variance
    assert found.log_likelihood == pytest.approx(expected, abs=3 * found.standard_error)
    deviation = 0.05**2 / variance  # of half a chi-square with two degrees of freedom, scaled
    assert found.standard_error == pytest.approx(deviation / math.sqrt(8_000), rel=0.05)


def test_sigma_is_chosen_on_the_validation_images():
    """The wider the validation images lie around one sample, the wider the window."""
    sample, test = torch.full((1, 2), 0.5, dtype=DOUBLE), blob(100, 9)
    grid = [0.02, 0.04, 0.08, 0.16]
    for spread in (0.04, 0.08):
        validation = blob(2000, 3, spread)
        assert parzen(sample, validation, test, grid).sigma == spread


def test_the_result_is_that_of_the_test_images():
    samples, validation, test = blob(50, 1), blob(60, 2), blob(70, 3)
    found = parzen(samples, validation, test, [0.01, 0.02, 0.05, 0.3])
    (values,) = log_likelihoods(samples, test, [found.sigma])
    assert found.log_likelihood == values.mean().item()
    assert found.standard_error == pytest.approx(values.numpy().std() / math.sqrt(70), rel=1e-12)


def test_the_end_of_the_grid_warns():
    samples, images = blob(100, 1), blob(100, 2)
    for sigmas, end in (((0.2, 0.5), "0.2"), ((1e-4, 1e-3), "0.001")):
        with pytest.warns(UserWarning, match=f"sigma={end} is the end of the grid"):
            parzen(samples, images, images, sigmas)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parzen(samples, images, images, [0.001, 0.02, 0.5])
        parzen(samples, images, images, [0.3])


def test_the_grid_is_that_of_the_authors():
    expected = torch.logspace(-1, 0, 10, dtype=DOUBLE).tolist()
    assert list(SIGMAS) == pytest.approx(expected)


GOOD = torch.full((5, 3), 0.5)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_bad_images_are_named(place):
    what = ("samples", "validation images", "test images")[place]

    def call(images):
        given = [GOOD, GOOD, GOOD]
        given[place] = images
        return parzen(*given, sigmas=[0.2])

    with pytest.raises(ValueError, match=f"{what} contain NaN"):
        call(torch.where(torch.arange(3) == 1, math.nan, GOOD))
    with pytest.raises(ValueError, match=rf"{what} must be in \[0, 1\], got -1 to -1.*/ 2"):
        call(GOOD - 1.5)
    with pytest.raises(ValueError, match=rf"{what} must be in \[0, 1\], got 255 to 255.*by 255"):
        call(torch.full((5, 3), 255, dtype=torch.uint8))
    with pytest.raises(ValueError, match=rf"{what} must be \(N, D\).*got \(5, 3, 3\)"):
        call(GOOD[:, None].expand(5, 3, 3))
    with pytest.raises(ValueError, match=rf"needs {1 if place == 0 else 2} or more {what}, got 0"):
        call(GOOD[:0])


def test_other_mistakes_are_named():
    with pytest.raises(ValueError, match=r"test images must be \(N, D\)"):
        parzen(GOOD, GOOD, torch.zeros(5, 4))
    for sigmas in ([], [0.1, 0.0]):
        with pytest.raises(ValueError, match="one number or more, all above 0"):
            parzen(GOOD, GOOD, GOOD, sigmas)


@pytest.mark.skipif("ZOO_TEST_DATA" not in os.environ, reason="ZOO_TEST_DATA holds no mnist/")
def test_training_images_of_mnist_score_as_the_true_distribution_does():
    """Theis et al. 2016 report 243 nats for it: more than the 225 ± 2 of the GAN of 2014."""
    folder = Path(os.environ["ZOO_TEST_DATA"], "mnist")
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")

    def images(part):
        packed = (folder / f"{part}-images-idx3-ubyte.gz").read_bytes()
        pixels = torch.frombuffer(bytearray(gzip.decompress(packed)[16:]), dtype=torch.uint8)
        return pixels.view(-1, 784) / 255

    train = images("train")
    found = parzen(train[:10_000], train[50_000:51_000], images("t10k"))
    assert found.sigma == pytest.approx(0.1668, abs=1e-4)
    assert found.log_likelihood == pytest.approx(241.19, abs=0.01)
    assert found.standard_error == pytest.approx(2.130, abs=0.001)
