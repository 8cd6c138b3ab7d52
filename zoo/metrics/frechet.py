"""Fréchet distance between Gaussians fitted to features (Heusel et al. 2017, arXiv:1706.08500)."""

import warnings

import torch
from torch import Tensor

# torchmetrics' FrechetInceptionDistance is not used: it has its extractor as a submodule, rounds
# the distance to float32 and uses the eigenvalues of a product that is not symmetric.

CHUNK = 1024  # rows that are float64 at a time: 16 MiB for 2048 features
MAX_FEATURES = 16_384  # their covariance takes 2 GiB


def check_widths(real: Tensor, fake: Tensor) -> None:
    """Raise ValueError unless two sets have features (N, F) and (M, F) of the same F."""
    if real.dim() != 2 or fake.dim() != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(
            f"the features are {tuple(real.shape)} and {tuple(fake.shape)}: they must be (N, F) "
            "and (M, F), of one extractor and of images of the same size"
        )


class Moments:
    """Count, sum and sum of outer products of features (N, F), updated in batches of any size.

    `state` holds all three as one flat float64 tensor (1 + F + F * F,). The states of shards can be
    summed: `Moments(num_features, strategy.reduce(moments.state, reduce_op="sum"))`. Two moments
    must be on the same device to be added or compared, and it must support float64 (mps does not).

    Args:
        num_features: Number F of features.
        state: A stored `state`; by default zeros.
        root: The stored `root` of that state.

    Raises:
        ValueError: The covariance would be too large.
    """

    # Products of float32 features are exact in float64. If the features have a large mean, the
    # cancellation in the sums loses no more precision than float32 had lost before.

    def __init__(self, num_features: int, state: Tensor | None = None, root: Tensor | None = None):
        if num_features > MAX_FEATURES:
            raise ValueError(
                f"the covariance of {num_features} features would take "
                f"{num_features**2 / 2**27:.0f} GiB: at most {MAX_FEATURES} are supported"
            )
        self.num_features = num_features
        size = 1 + num_features + num_features**2
        self.state = torch.zeros(size, dtype=torch.float64) if state is None else state
        self._root = root

    @classmethod
    def of(cls, features: Tensor) -> "Moments":
        """Return the moments of features (N, F), on their device, accumulated in float64 chunks.

        For N <= F the root is also set: the scaled and centered features, (F, N).
        """
        count, num_features = features.shape
        moments = cls(num_features)
        moments.state = moments.state.to(features.device)
        for chunk in features.split(CHUNK):
            moments.update(chunk)
        if 2 <= count <= num_features:
            centered = features.detach().double() - moments._parts()[1] / count
            moments._root = centered.T / (count - 1) ** 0.5
        return moments

    @classmethod
    def from_statistics(cls, mean: Tensor, covariance: Tensor, count: int) -> "Moments":
        """Return the moments of `count` > 1 samples with a mean (F,) and covariance (F, F)."""
        products = (count - 1) * covariance.double() + count * mean.double().outer(mean.double())
        state = [mean.new_tensor([count]).double(), count * mean.double(), products.flatten()]
        return cls(len(mean), torch.cat(state))

    def update(self, features: Tensor) -> None:
        """Add a batch of features (N, F); N may be 0."""
        features = features.detach().to(self.state)
        count, total, products = self._parts()
        count += len(features)
        total += features.sum(dim=0)
        products += features.T @ features
        self._root = None

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.num_features, self.state + other.state)

    @property
    def count(self) -> int:
        """The number of samples."""
        return int(self.state[0])

    @property
    def mean(self) -> Tensor:
        """The mean (F,). Raises ValueError like `covariance`."""
        self._check()
        return self._parts()[1] / self.count

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance (F, F).

        Raises:
            ValueError: There are fewer than 2 samples, or non-finite features.
        """
        mean = self.mean
        return self._parts()[2].addr(mean, mean, alpha=-self.count) / (self.count - 1)

    @property
    def root(self) -> Tensor:
        """R with R Rᵀ = covariance, cached until the next update.

        (F, F), or (F, N) for the moments `of` no more samples than features.
        """
        if self._root is None:
            values, vectors = torch.linalg.eigh(self.covariance)
            self._root = vectors * values.clamp(min=0).sqrt()
        return self._root

    @property
    def columns(self) -> int:
        """The number of columns of `root`, which is not computed."""
        return self.num_features if self._root is None else self._root.shape[1]

    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        count, total, products = self.state.split([1, self.num_features, self.num_features**2])
        return count, total, products.view(self.num_features, self.num_features)

    def _check(self) -> None:
        # Not in update: after an all-reduce every rank raises, so no rank waits for the others.
        if self.count < 2:
            raise ValueError(f"moments need at least 2 samples, got {self.count}")
        if not self.state.isfinite().all():
            raise ValueError("the features contain NaN or infinity")


def frechet_distance(reference: Moments, other: Moments) -> float:
    """Compute |Δμ|² + tr Σ1 + tr Σ2 - 2 tr (Σ1 Σ2)^½.

    Warns once if N <= F for one of them: the covariance is singular and the distance biased.

    Args:
        reference: Moments whose root is cached. Pass the ones that are used several times.
        other: Moments of the same extractor.

    Raises:
        ValueError: There are fewer than 2 samples, non-finite features, or different numbers of
            features.
    """
    if reference.num_features != other.num_features:
        raise ValueError(
            f"the moments are of {reference.num_features} and of {other.num_features} features: "
            "they must be of one extractor and of images of the same size"
        )
    fewest = min(reference.count, other.count)
    if fewest <= other.num_features:
        warnings.warn(
            f"Fréchet distance of {other.count} images from {reference.count}: with only {fewest} "
            f"images and {other.num_features} features a covariance is singular, and the distance "
            f"is biased upwards. Use {other.num_features + 1} images or more, or compare only "
            "distances of the same numbers of images.",
            stacklevel=2,
        )
    distance = (reference.mean - other.mean).square().sum()
    distance += reference.covariance.trace() + other.covariance.trace()
    distance -= 2 * trace_of_root(reference, other)
    return max(distance.item(), 0.0)  # rounding may make it slightly negative


def extrapolated_distance(
    reference: Moments, features: Tensor, count: int, splits: int = 16
) -> float:
    """Estimate the Fréchet distance of `count` features from fewer ones.

    The distance of N samples is d + c / N to first order. d and c are fitted to the distance of all
    N samples and the mean distance of halves, as in FID∞ (Chong, Forsyth 2020, arXiv 1911.07023).
    For equal distributions the result can be negative.

    Args:
        reference: The moments to compare with.
        features: (N, F), N of at least 2 (F + 1), so that no covariance is singular.
        count: The number of samples to extrapolate to.
        splits: Number of random splits into halves, with a fixed seed.

    Raises:
        ValueError: There are too few features.
    """
    half = len(features) // 2
    if half <= features.shape[1]:
        raise ValueError(
            f"{len(features)} samples are too few to extrapolate a distance of {features.shape[1]} "
            f"features: {2 * features.shape[1] + 2} are needed"
        )
    generator = torch.Generator().manual_seed(0)
    distances = []
    for _ in range(splits):
        order = torch.randperm(len(features), generator=generator).to(features.device)
        halves = features[order[:half]], features[order[half : 2 * half]]
        distances += [frechet_distance(reference, Moments.of(part)) for part in halves]
    whole = frechet_distance(reference, Moments.of(features))
    slope = (sum(distances) / len(distances) - whole) / (1 / half - 1 / len(features))
    return whole + slope * (1 / count - 1 / len(features))


def trace_of_root(reference: Moments, other: Moments) -> Tensor:
    """Return tr (Σ1 Σ2)^½, a scalar.

    With Σ1 = R Rᵀ, the nonzero eigenvalues of Σ1 Σ2 are those of Rᵀ Σ2 R.
    """
    narrow, wide = sorted((reference, other), key=lambda moments: moments.columns)
    root = narrow.root
    if wide.columns < wide.num_features:
        half = wide.root.T @ root
        product = half.T @ half
    else:
        product = root.T @ wide.covariance @ root
    return torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()
