"""The images of a two-dimensional latent space."""

from typing import Any

import torch
from torch import Tensor

from zoo.media.images import grid
from zoo.plots.grids import as_images


def manifold(model: Any, side: int = 16) -> Tensor:
    """Decode latents on a grid of the quantiles of a 2D normal prior.

    Kingma, Welling 2014 (arXiv 1312.6114), figure 4.

    Args:
        model: A model with two latents. If it is conditional, all images are of the first class.
        side: Images in a row and in a column.

    Returns:
        uint8 (3, H, W). The first latent rises to the right, the second upwards.
    """
    share = (torch.arange(side, device=model.device) + 0.5) / side
    quantile = (2 * share - 1).erfinv() * 2**0.5
    latent = torch.cartesian_prod(quantile.flip(0), quantile).flip(1).to(model.dtype)  # (side², 2)
    condition = {"latent": latent}
    if "label" in model.needs:
        condition["label"] = torch.zeros(side**2, dtype=torch.int64, device=model.device)
    return grid(as_images(model, model.sample(side**2, condition)), columns=side)
