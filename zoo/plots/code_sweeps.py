"""Sweeps of InfoGAN's codes (Chen et al. 2016, arXiv 1606.03657), figure 2."""

from typing import Any

import torch
from torch import Tensor

from zoo.media.images import grid
from zoo.plots.grids import as_images

SWEEP_END, SWEEP_POINTS = 2.0, 11  # as in the paper's figure


def code_sweeps(model: Any, rows: int = 10) -> dict[str, Tensor]:
    """Draw samples along one code, from left to right.

    Args:
        model: An InfoGAN, in `evaluating`.
        rows: Number of rows.

    Returns:
        {name: uint8 (3, H, W)}; {} for images that are neither gray nor RGB. "categories" has a
        column for each category, and a row for each of `rows` draws of noise and codes. "code_1",
        "code_2", ... go from -2 to 2, with a row for each of the first categories; everything else
        is the same.
    """
    hp = model.hparams
    if hp.image_channels not in (1, 3):
        return {}
    noise, _, codes = model.split_latent(model.prior(rows))
    category = torch.arange(hp.categories, device=model.device)
    fixed = [part.repeat_interleave(hp.categories, dim=0) for part in (noise, codes)]
    latent = model.join_latent(fixed[0], category.repeat(rows), fixed[1])
    panels = {"categories": latents_panel(model, latent, columns=hp.categories)}
    category = category[:rows].repeat_interleave(SWEEP_POINTS)
    values = torch.linspace(
        -SWEEP_END, SWEEP_END, SWEEP_POINTS, device=model.device, dtype=noise.dtype
    )
    for number in range(hp.continuous_codes):
        codes = torch.zeros_like(codes[:1]).repeat(len(category), 1)
        codes[:, number] = values.repeat(len(category) // SWEEP_POINTS)
        latent = model.join_latent(noise[:1].expand(len(category), -1), category, codes)
        panels[f"code_{number + 1}"] = latents_panel(model, latent, columns=SWEEP_POINTS)
    return panels


def latents_panel(model: Any, latent: Tensor, columns: int) -> Tensor:
    """Draw the images of latents (N, Z), row by row: uint8 (3, H, W)."""
    return grid(as_images(model, model.sample(len(latent), {"latent": latent})), columns)
