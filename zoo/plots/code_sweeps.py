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
        column for each category, and a row for each of `rows` draws of noise and other codes. With
        several categorical codes it is "categories_1", "categories_2" ... "code_1", "code_2" ... go
        from -2 to 2, with a row for each of the first categories; everything else is the same.
    """
    hp = model.hparams
    if hp.image_channels not in (1, 3):
        return {}
    noise, one_hots, codes = model.split_latent(model.prior(rows))
    drawn = one_hots.argmax(dim=2)  # (rows, M)
    values = torch.arange(hp.categories, device=model.device)
    panels = {}
    for number in range(hp.categorical_codes):
        noises, category, fixed = (
            part.repeat_interleave(hp.categories, dim=0) for part in (noise, drawn, codes)
        )
        category[:, number] = values.repeat(rows)
        latent = model.join_latent(noises, category, fixed)
        name = f"categories_{number + 1}" if hp.categorical_codes > 1 else "categories"
        panels[name] = latents_panel(model, latent, columns=hp.categories)
    return panels | continuous_sweeps(model, noise[:1], drawn[:1], values[:rows])


def continuous_sweeps(
    model: Any, noise: Tensor, category: Tensor, first: Tensor
) -> dict[str, Tensor]:
    """Draw sweeps of the continuous codes, with a row for each value of the first category.

    Args:
        model: An InfoGAN.
        noise: (1, latent_dim).
        category: (1, M), of which the first one is replaced.
        first: Values of the first category, (R,).
    """
    count = model.hparams.continuous_codes
    ends = -SWEEP_END, SWEEP_END, SWEEP_POINTS
    values = torch.linspace(*ends, device=noise.device, dtype=noise.dtype).repeat(len(first))
    category = category.repeat(len(values), 1)
    category[:, 0] = first.repeat_interleave(SWEEP_POINTS)
    panels = {}
    for number in range(count):
        codes = noise.new_zeros(len(values), count)
        codes[:, number] = values
        latent = model.join_latent(noise.expand(len(values), -1), category, codes)
        panels[f"code_{number + 1}"] = latents_panel(model, latent, columns=SWEEP_POINTS)
    return panels


def latents_panel(model: Any, latent: Tensor, columns: int) -> Tensor:
    """Draw the images of latents (N, Z), row by row: uint8 (3, H, W)."""
    return grid(as_images(model, model.sample(len(latent), {"latent": latent})), columns)
