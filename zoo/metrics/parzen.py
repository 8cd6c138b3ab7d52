"""Parzen-window log-likelihood, reported for GANs by Goodfellow et al. 2014 (arXiv 1406.2661)."""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

SIGMAS = tuple(10 ** (step / 9 - 1) for step in range(10))  # 0.1 to 1, as in the authors' code


class Parzen(NamedTuple):
    """Mean log-likelihood in nats, its standard error over the test images, and sigma."""

    log_likelihood: float
    standard_error: float
    sigma: float


def parzen(
    samples: Tensor, validation: Tensor, test: Tensor, sigmas: Sequence[float] = SIGMAS
) -> Parzen:
    """Estimate the log-likelihood of test images under Gaussian kernels around samples.

    The protocol: 10,000 samples, 1,000 validation images, the whole test set (Breuleux et al. 2011;
    Goodfellow et al. 2014), and a standard error with ddof 0.

    Use it only for comparison with old papers, not to compare models. Even in few dimensions and
    with many samples it is far from the true likelihood and ranks models incorrectly. K-means
    centroids have a better value than samples of the true distribution (Theis et al. 2016, arXiv
    1511.01844).

    Args:
        samples: (M, D) in [0, 1].
        validation: Images (V, D) in [0, 1] that select sigma.
        test: Images (N, D) in [0, 1].
        sigmas: Standard deviations to select from. Warns if the best one is the first or the last.

    Raises:
        ValueError: Values are NaN, outside [0, 1] or of different dimensions, or there are no
            samples, no sigmas, or fewer than 2 images.
    """
    _check("samples", samples, samples, least=1)
    _check("validation images", validation, samples, least=2)
    _check("test images", test, samples, least=2)
    if not sigmas or min(sigmas) <= 0:
        raise ValueError(f"sigmas={sigmas} must be one number or more, all above 0")
    fits = log_likelihoods(samples, validation, sigmas).mean(dim=1)
    sigma = sigmas[int(fits.argmax())]
    if len(sigmas) > 1 and sigma in (min(sigmas), max(sigmas)):
        warnings.warn(
            f"Parzen window: sigma={sigma:.3g} is the end of the grid: extend `sigmas`",
            stacklevel=2,
        )
    (values,) = log_likelihoods(samples, test, [sigma])
    error = values.std(correction=0) / math.sqrt(len(values))
    return Parzen(values.mean().item(), error.item(), sigma)


def log_likelihoods(
    samples: Tensor, images: Tensor, sigmas: Sequence[float], block: int = 1000
) -> Tensor:
    """Compute log mean_m N(x; sample_m, sigma² I) of images, (S, N) in nats and float64.

    Args:
        samples: (M, D).
        images: (N, D).
        sigmas: S standard deviations.
        block: Images and samples at once. Needs about 16 bytes * block² of memory.
    """
    parts = [_block(samples, some, sigmas, block) for some in images.split(block)]
    scale = torch.tensor(sigmas, dtype=torch.float64, device=images.device)[:, None]
    volume = samples.shape[1] * torch.log(scale * math.sqrt(2 * math.pi))
    return torch.cat(parts, dim=1) - volume - math.log(len(samples))


def _block(samples: Tensor, images: Tensor, sigmas: Sequence[float], block: int) -> Tensor:
    """Return (S, N): the log of the sum over samples of exp(-distance² / 2 sigma²)."""
    sums = []
    for some in samples.split(block):
        squares = torch.cdist(images.double(), some.double()).square()  # (N, M)
        sums.append(torch.stack([(squares / (-2 * s * s)).logsumexp(dim=1) for s in sigmas]))
    return torch.stack(sums).logsumexp(dim=0)


def _check(what: str, images: Tensor, samples: Tensor, least: int) -> None:
    if images.dim() != 2 or images.shape[1] != samples.shape[-1]:
        shape = tuple(images.shape)
        raise ValueError(f"{what} must be (N, D) with the samples' D, got {shape}: see flatten(1)")
    if len(images) < least:
        raise ValueError(f"a Parzen window needs {least} or more {what}, got {len(images)}")
    if images.isnan().any():
        raise ValueError(f"the {what} contain NaN")
    low, high = images.min().item(), images.max().item()
    if low < 0 or high > 1:
        raise ValueError(
            f"the {what} must be in [0, 1], got {low:.4g} to {high:.4g}: divide uint8 by 255, "
            "or bring [-1, 1] there by (x + 1) / 2"
        )
