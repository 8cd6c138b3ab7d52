"""Active units: how many latents of an encoder depend on the image (Burda et al. 2016)."""

from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

MIN_VARIANCE = 0.01  # of E[z | x] over images, for an active unit (Burda et al. 2016, section 4)


def active_units(model: Any, data: Any, split: str) -> dict[str, float]:
    """Count the active units of a model with a `posterior` on a split.

    Warns of posterior collapse if at most a tenth of the latents of a trained model is active.

    Args:
        model: A VAE. Call this in `model.evaluating()`.
        data: The data module.
        split: "val" or "test".

    Returns:
        {active_units_SPLIT: number}; {} for an empty split.
    """
    means = []
    for batch in data.loader(split):
        means.append(model.posterior(data.prepare_batch(batch, model)).mean)  # (N, Z)
    if not means:
        return {}
    active = count_active(torch.cat(means))
    untrained = model._trainer is not None and model._trainer.global_step == 0
    if not untrained:
        warn_of_collapse(active, model.hparams.latent_dim)
    return {f"active_units_{split}": active}


def count_active(means: Tensor) -> int:
    """Return the number of latents whose mean (N, Z) has a variance above MIN_VARIANCE."""
    return int((means.var(dim=0) > MIN_VARIANCE).sum())


def warn_of_collapse(active: int, latent_dim: int) -> None:
    """Warn if at most a tenth of `latent_dim` latents is active."""
    if active <= latent_dim // 10:
        rank_zero_warn(
            f"Posterior collapse: {active} of {latent_dim} latents depend on the image. Try "
            "model.warmup=5000 or a smaller model.beta."
        )
