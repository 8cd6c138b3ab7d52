"""How near simple densities come to the digits: python -m experiments.baselines_digits

What a generative model of 8x8 digits has to beat. Each baseline is fitted to the training images
and judged as the models are, by fid_digits_2k and by prdc, of 2,000 samples rounded to uint8. The
last lines are the floor, the distance of 2,000 real test images, extrapolated from those that there
are, and how exact the extrapolation is: of sets of as many images drawn from the training images,
beside the distance of 2,000 of these.
"""

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from datamodules.digits import Digits
from zoo.metrics.compute import measure, real_metrics
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.features import Features
from zoo.metrics.frechet import extrapolated_distance

COUNT = 2000


def gaussian(pixels: np.ndarray, seed: int):
    """One Gaussian with a full covariance."""
    generator = np.random.default_rng(seed)
    return generator.multivariate_normal(pixels.mean(0), np.cov(pixels.T), COUNT)


def mixture(pixels: np.ndarray, seed: int):
    """A mixture of 50 Gaussians with diagonal covariances."""
    model = GaussianMixture(50, covariance_type="diag", reg_covar=1.0, random_state=seed)
    return model.fit(pixels).sample(COUNT)[0]


def subspaces(pixels: np.ndarray, seed: int):
    """A mixture of 20 Gaussians with full covariances."""
    model = GaussianMixture(20, covariance_type="full", reg_covar=10.0, random_state=seed)
    return model.fit(pixels).sample(COUNT)[0]


def centroids(pixels: np.ndarray, seed: int):
    """200 k-means centroids, each ten times."""
    centers = KMeans(200, n_init=1, random_state=seed).fit(pixels).cluster_centers_
    return centers.repeat(COUNT // 200, axis=0)


def copies(pixels: np.ndarray, seed: int):
    """Training images drawn with replacement: what a memorizer gets."""
    return pixels[np.random.default_rng(seed).integers(len(pixels), size=COUNT)]


BASELINES = (gaussian, mixture, subspaces, centroids, copies)


def judge(samples: Tensor, extractor: nn.Module, real: Features, shape: tuple[int, ...]):
    """{metric: number} of samples (N, pixels) in 0..255 against the Features of real images."""
    images = torch.from_numpy(samples).round().clamp(0, 255).to(torch.uint8).view(-1, *shape)
    fake = Features(extractor(images), None)
    return measure(("fid", "prdc"), real, fake, extractor)


def extrapolations(real, size: int, sets=32):
    """Extrapolated distances of sets of `size` Features drawn with replacement from the real."""
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
    source = Digits().source("train")
    images = source[torch.arange(len(source))]["image"]
    extractor = load_extractor("digits")
    real = Features(extractor(images), None)
    pixels = images.flatten(1).double().numpy()
    for baseline in BASELINES:
        seeds = [judge(baseline(pixels, s), extractor, real, images.shape[1:]) for s in range(3)]
        print(f"{(baseline.__doc__ or '').rstrip('.')}")
        for name in seeds[0]:
            values = [numbers[name] for numbers in seeds]
            print(f"  {name:<26} {np.mean(values):.4g} ± {np.std(values, ddof=1):.2g}")
    source = Digits().source("test")
    test = Features(extractor(source[torch.arange(len(source))]["image"]), None)
    print("Real test images")
    for count in (COUNT, 1000, len(test)):
        for name, value in real_metrics(("fid", "prdc"), real, test, extractor, count).items():
            print(f"  {name:<36} {value:.4g}")
    found = extrapolations(real, len(test))
    print(f"Sets of {len(test)} training images, extrapolated to {COUNT}")
    print(f"  {np.mean(found):.3f} ± {np.std(found, ddof=1):.3f} of {len(found)} sets")


if __name__ == "__main__":
    main()
