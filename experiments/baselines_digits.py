"""Measure simple densities as baselines for 8x8 digits: python -m experiments.baselines_digits

Each baseline is fitted to the training images. As for the models, fid_digits_2k and prdc are
computed from 2,000 samples rounded to uint8.

The last lines are the lower bound: the distance of 2,000 real test images, extrapolated from the
available ones. The precision of the extrapolation is measured on sets of the same size that are
sampled from the training images.
"""

from collections.abc import Callable

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture
from torch import nn

from datamodules.digits import Digits
from zoo.metrics.compute import measure, real_metrics
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.features import Features
from zoo.metrics.frechet import extrapolated_distance

COUNT = 2000


# A baseline takes training pixels (N, D) in 0..255 and a seed, and returns samples (COUNT, D).


def gaussian(pixels: np.ndarray, seed: int) -> np.ndarray:
    """One Gaussian with a full covariance."""
    generator = np.random.default_rng(seed)
    return generator.multivariate_normal(pixels.mean(0), np.cov(pixels.T), COUNT)


def mixture(pixels: np.ndarray, seed: int) -> np.ndarray:
    """A mixture of 50 Gaussians with diagonal covariances."""
    model = GaussianMixture(50, covariance_type="diag", reg_covar=1.0, random_state=seed)
    return model.fit(pixels).sample(COUNT)[0]


def subspaces(pixels: np.ndarray, seed: int) -> np.ndarray:
    """A mixture of 20 Gaussians with full covariances."""
    model = GaussianMixture(20, covariance_type="full", reg_covar=10.0, random_state=seed)
    return model.fit(pixels).sample(COUNT)[0]


def centroids(pixels: np.ndarray, seed: int) -> np.ndarray:
    """200 k-means centroids, each repeated ten times."""
    centers = KMeans(200, n_init=1, random_state=seed).fit(pixels).cluster_centers_
    return centers.repeat(COUNT // 200, axis=0)


def copies(pixels: np.ndarray, seed: int) -> np.ndarray:
    """Training images sampled with replacement, as from a model that memorizes."""
    return pixels[np.random.default_rng(seed).integers(len(pixels), size=COUNT)]


Baseline = Callable[[np.ndarray, int], np.ndarray]
BASELINES: tuple[Baseline, ...] = (gaussian, mixture, subspaces, centroids, copies)


def evaluate(
    samples: np.ndarray, extractor: nn.Module, real: Features, shape: tuple[int, ...]
) -> dict[str, float]:
    """Compute FID and PRDC of samples.

    Args:
        samples: Pixels (N, D) in 0..255.
        extractor: The feature extractor.
        real: Features of the training images.
        shape: Shape (C, H, W) of an image.

    Returns:
        {metric: value}.
    """
    images = torch.from_numpy(samples).round().clamp(0, 255).to(torch.uint8).view(-1, *shape)
    fake = Features(extractor(images), None)
    return measure(("fid", "prdc"), real, fake, extractor)


def extrapolations(real: Features, size: int, sets: int = 32) -> list[float]:
    """Extrapolate the distance to COUNT samples from several small sets of real samples.

    Args:
        real: Features from which the sets are sampled with replacement.
        size: Number of samples in a set.
        sets: Number of sets.

    Returns:
        The extrapolated distance of each set.
    """
    generator = torch.Generator().manual_seed(0)
    moments = real.moments
    return [
        extrapolated_distance(
            moments, real.values[torch.randint(len(real), (size,), generator=generator)], COUNT
        )
        for _ in range(sets)
    ]


@torch.no_grad()
def main() -> None:
    """Print mean and standard deviation of each metric over three seeds."""
    source = Digits().source("train")
    images = source[torch.arange(len(source))]["image"]
    extractor = load_extractor("digits")
    real = Features(extractor(images), None)
    pixels = images.flatten(1).double().numpy()
    for baseline in BASELINES:
        seeds = [evaluate(baseline(pixels, s), extractor, real, images.shape[1:]) for s in range(3)]
        print((baseline.__doc__ or "").rstrip("."))
        for name in seeds[0]:
            values = [metrics[name] for metrics in seeds]
            print(f"  {name:<26} {np.mean(values):.4g} ± {np.std(values, ddof=1):.2g}")
    source = Digits().source("test")
    test = Features(extractor(source[torch.arange(len(source))]["image"]), None)
    print("Real test images")
    for count in (COUNT, 1000, len(test)):
        for name, value in real_metrics(("fid", "prdc"), real, test, extractor, count).items():
            print(f"  {name:<36} {value:.4g}")
    distances = extrapolations(real, len(test))
    print(f"Sets of {len(test)} training images, extrapolated to {COUNT}")
    mean, std = np.mean(distances), np.std(distances, ddof=1)
    print(f"  {mean:.3f} ± {std:.3f} ({len(distances)} sets)")


if __name__ == "__main__":
    main()
