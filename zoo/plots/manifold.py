"""The images of a two-dimensional latent space."""

import torch

from zoo.plots.grids import as_images, panel


def manifold(model, side=16):
    """Decoded codes on a grid of the quantiles of a normal prior in the plane: uint8 (3, H, W).

    Where there are classes, of the first. Kingma, Welling 2014 (arXiv 1312.6114), figure 4.
    """
    share = (torch.arange(side, device=model.device) + 0.5) / side
    quantile = (2 * share - 1).erfinv() * 2**0.5
    latent = torch.cartesian_prod(quantile.flip(0), quantile).flip(1).to(model.dtype)
    condition = {"latent": latent}
    if "label" in model.needs:
        condition["label"] = torch.zeros(side**2, dtype=torch.int64, device=model.device)
    return panel(as_images(model, model.sample(side**2, condition)), columns=side)
