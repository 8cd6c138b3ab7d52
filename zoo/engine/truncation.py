"""Truncation: latents closer to their mean give more typical samples, with less variety."""

from typing import Any

from torch import Tensor

from zoo.engine.seeds import stream

PRIOR_SAMPLES = 10000  # for the mean of the prior


def truncated(
    model: Any, count: int, condition: dict[str, Tensor] | None, truncation: float
) -> dict[str, Tensor]:
    """Draw latents, and move them towards their mean: mean + truncation * (latent - mean).

    As in StyleGAN (Karras, Laine, Aila 2019, arXiv 1812.04948, appendix B). The latents before are
    those that `model.sample` draws. Categories in latents do not change.

    Args:
        model: The model.
        count: Number of latents.
        condition: A batch with `count` of each condition, without "latent"; None for none.
        truncation: From 0, where all latents are the mean, to 1.

    Returns:
        The condition for `model.sample`, with `latent` in place of what latents replace.

    Raises:
        ValueError: The model has no latents, the condition contains them, or it has a mask.
    """
    condition, name = condition or {}, type(model).__name__
    if not hasattr(model, "prior"):
        raise ValueError(f"truncation={truncation}: {name} has no prior of latents.")
    if "latent" in condition:
        raise ValueError(f"truncation={truncation}: the condition already contains the latents.")
    if "mask" in condition:
        raise ValueError(f"truncation={truncation}: no latents are drawn to complete images.")
    replaced = [key for key in model.latent_conditions if key in condition]
    latent = model.latents(count, condition) if replaced else model.prior(count)  # (N, Z)
    with stream(model.device, "mean of the prior"):
        mean = model.prior(PRIOR_SAMPLES).mean(dim=0)  # (Z,)
    latent = mean + truncation * (latent - mean)
    others = {key: values for key, values in condition.items() if key not in replaced}
    return others | {"latent": model.project(latent) if hasattr(model, "project") else latent}
