"""Parzen-window log-likelihood, which Goodfellow et al. 2014 (arXiv 1406.2661) report of GANs."""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

SIGMAS = tuple(10 ** (step / 9 - 1) for step in range(10))  # 0.1 to 1, those of the authors' code


class Parzen(NamedTuple):
    """Mean log-likelihood in nats, its standard error (of the test images alone), and sigma."""

    nll: float
    standard_error: float
    sigma: float


def parzen(
    samples: Tensor, validation: Tensor, test: Tensor, sigmas: Sequence[float] = SIGMAS
) -> Parzen:
    """Log-likelihood of test images (N, D) under Gaussian kernels around samples (M, D).

    sigma is the one of `sigmas` that fits the validation images (V, D) best. All values are in
    [0, 1]. The protocol: 10,000 samples, 1,000 validation images, the whole test set (Breuleux et
    al. 2011; Goodfellow et al. 2014), and a standard error with ddof 0.

    Kept for history: compare no models by it. It is far from the true likelihood even in few
    dimensions and with very many samples, it ranks models wrongly, and it puts k-means centroids
    above samples of the true distribution (Theis et al. 2016, arXiv 1511.01844).

    Warns where the best sigma is the end of the grid. Raises ValueError for values that are NaN,
    outside [0, 1] or of other dimensions, for no samples or sigmas, and for fewer than 2 images.
    """
    _check("samples", samples, samples, least=1)
    _check("validation images", validation, samples, least=2)
    _check("test images", test, samples, least=2)
    if not sigmas or min(sigmas) <= 0:
        raise ValueError(f"sigmas={sigmas} must be one number or more, all above 0")
    fits = log_likelihoods(samples, validation, sigmas).mean(dim=1)
    sigma = sigmas[fits.argmax()]
    if len(sigmas) > 1 and sigma in (min(sigmas), max(sigmas)):
        warnings.warn(
            f"Parzen window: sigma={sigma:.3g} is the end of the grid: widen `sigmas`", stacklevel=2
        )
    (values,) = log_likelihoods(samples, test, [sigma])
    error = values.std(correction=0) / math.sqrt(len(values))
    return Parzen(values.mean().item(), error.item(), sigma)


def log_likelihoods(
    samples: Tensor, images: Tensor, sigmas: Sequence[float], block: int = 1000
) -> Tensor:
    """Nats (S, N), float64, of images (N, D) for each sigma, under kernels around samples (M, D).

    log mean_m N(x; sample_m, sigma² I). Memory: about 16 bytes * block² beyond the inputs.
    """
    parts = [_block(samples, some, sigmas, block) for some in images.split(block)]
    scale = torch.tensor(sigmas, dtype=torch.float64, device=images.device)[:, None]
    volume = samples.shape[1] * torch.log(scale * math.sqrt(2 * math.pi))
    return torch.cat(parts, dim=1) - volume - math.log(len(samples))


def _block(samples, images, sigmas, block):
    """(S, N): the log of the sum over samples of exp(-distance² / 2 sigma²)."""
    sums = []
    for some in samples.split(block):
        squares = torch.cdist(images.double(), some.double()).square()  # (N, M)
        sums.append(torch.stack([(squares / (-2 * s * s)).logsumexp(dim=1) for s in sigmas]))
    return torch.stack(sums).logsumexp(dim=0)


def _check(what, images, samples, least):
    if images.dim() != 2 or images.shape[1] != samples.shape[-1]:
        shape = tuple(images.shape)
        raise ValueError(f"{what} must be (N, D) with the samples' D, got {shape}: see flatten(1)")
    if len(images) < least:
        raise ValueError(f"a Parzen window needs {least} or more {what}, got {len(images)}")
    if images.isnan().any():
        raise ValueError(f"the {what} hold NaN")
    low, high = images.min().item(), images.max().item()
    if low < 0 or high > 1:
        raise ValueError(
            f"the {what} must be in [0, 1], got {low:.4g} to {high:.4g}: divide uint8 by 255, "
            "or bring [-1, 1] there by (x + 1) / 2"
        )
