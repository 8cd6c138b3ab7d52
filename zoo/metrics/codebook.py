"""How a model with a codebook uses it: the codes of a split, and their likelihood."""

from typing import Any

import torch
from torch import Tensor


def codebook_metrics(model: Any, data: Any, split: str) -> dict[str, float]:
    """Measure the codes of a split's images. Call this in `model.evaluating()`.

    Args:
        model: Has `encode(images)`, which returns codes (N, h, w), and `code_nll(codes)`, which
            returns nats (N,).
        data: The data module.
        split: "val" or "test".

    Returns:
        codebook_used_SPLIT, the number of different codes; codebook_perplexity_SPLIT, the
        exponential of the entropy of their frequencies; and nats_codes_SPLIT, the mean negative
        log-likelihood of an image's codes. {} for an empty split.
    """
    found, nats = [], []
    for batch in data.loader(split):
        codes = model.encode(data.prepare_batch(batch, model)["image"])
        found.append(codes.cpu())
        nats.append(model.code_nll(codes).double().cpu())
    if not found:
        return {}
    counts = torch.cat(found).flatten().bincount()
    return {
        f"codebook_used_{split}": int((counts > 0).sum()),
        f"codebook_perplexity_{split}": perplexity(counts),
        f"nats_codes_{split}": torch.cat(nats).mean().item(),
    }


def perplexity(counts: Tensor) -> float:
    """Return exp(-Σ p log p) of frequencies p = counts / sum, (K,): K if all are equal."""
    shares = counts.double() / counts.sum()
    return torch.special.entr(shares).sum().exp().item()
