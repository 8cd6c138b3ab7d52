"""Inception Score (Salimans et al. 2016, arXiv:1606.03498)."""

from itertools import pairwise

import torch
from torch import Tensor

# torchmetrics' InceptionScore is not used: it shuffles without a seed, differently on each rank.


def inception_score(probabilities: Tensor, splits: int = 10, seed: int = 0) -> tuple[float, float]:
    """Compute exp E KL(p(y|x) || p(y)) over splits of the samples (section 4).

    p(y) is the mean of a split. The score is between 1 and min(K, N / splits).

    Args:
        probabilities: Class probabilities (N, K); rows sum to 1.
        splits: Number of splits.
        seed: Seed of the order of the samples, the same on every device.

    Returns:
        Mean and population standard deviation (ddof 0) over the splits.

    Raises:
        ValueError: There are fewer samples than splits, or rows are not probabilities.
    """
    count = len(probabilities)
    if not 1 <= splits <= count:
        raise ValueError(f"{count} samples cannot be split in {splits}: draw more or lower splits")
    probabilities = probabilities.double()
    # The tolerance of 1e-3 accepts a float16 softmax, and rejects logits and NaN.
    sums_to_one = (probabilities.sum(dim=1) - 1).abs() <= 1e-3
    if not (sums_to_one.all() and (probabilities >= 0).all()):
        raise ValueError("rows must be probabilities that sum to 1: apply softmax to logits")
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    probabilities = probabilities[shuffled.to(probabilities.device)]
    bounds = [i * count // splits for i in range(splits + 1)]
    scores = torch.stack([_score(probabilities[a:b]) for a, b in pairwise(bounds)])
    return scores.mean().item(), scores.std(correction=0).item()


def _score(probabilities: Tensor) -> Tensor:
    """Return exp E KL(p(y|x) || p(y)) of one split (N, K)."""
    marginal = probabilities.mean(dim=0)  # (K,)
    # E Σ p log p - E Σ p log p(y), and the second term is Σ p(y) log p(y).
    divergence = torch.xlogy(probabilities, probabilities).sum(dim=1).mean()
    return (divergence - torch.xlogy(marginal, marginal).sum()).exp()
