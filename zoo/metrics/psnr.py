"""Peak signal-to-noise ratio (PSNR) of reconstructed images."""

import math
from typing import Any

import torch
from torch import Tensor

from zoo.engine.sampling import CHUNK
from zoo.engine.seeds import keyed_permutation
from zoo.precision import widest

GLO_IMAGES = 400  # number of images of each split that GLO reconstructs


def decibels(squared_error: float, peak: float = 2.0) -> float:
    """Return the PSNR in decibels of a mean squared error.

    Args:
        squared_error: Mean squared error, over all images and pixels.
        peak: Range of the values; 2 for images in [-1, 1].
    """
    return 10 * math.log10(peak**2 / squared_error) if squared_error else math.inf


def psnr(model: Any, data: Any, split: str) -> dict[str, float]:
    """Return {psnr_SPLIT: decibels} of a model's reconstructions of a split's images.

    The squared error is averaged over all images before it is converted to decibels.

    Args:
        model: Has `reconstruct(batch)`, where `image` is in [-1, 1].
        data: The data module.
        split: "val" or "test".

    Returns:
        {} for an empty split.
    """
    error, count, wide = 0, 0, widest(model.device)
    for batch in data.loader(split):
        real = data.prepare_batch(batch, model)["image"]
        found = model.reconstruct({"image": real})
        error += (found.to(wide) - real.to(wide)).square().sum().item()
        count += real.numel()
    return {f"psnr_{split}": decibels(error / count)} if count else {}


def glo_psnr(model: Any, data: Any, split: str) -> dict[str, float]:
    """Return the PSNR in decibels of images that GLO reconstructs.

    Args:
        model: A GLO.
        data: The data module.
        split: "val" or "test".

    Returns:
        psnr_train for the learned latents and psnr_SPLIT for latents found by a search.
        psnr_pca_train and psnr_pca_SPLIT for the same number of principal components. Those of an
        empty split are left out, and those of training images if the latents belong to others.
    """
    numbers, shape = {}, (-1, model.hparams.image_channels, *[model.hparams.image_size] * 2)
    for part in ("train", split):
        source = data.source(part)
        chosen = keyed_permutation(len(source), "measured")[:GLO_IMAGES]
        if not len(chosen) or (part == "train" and not model.owns(source)):
            continue
        flat = model.flat_images(data, part, chosen)  # (N, C H W)
        if part == split:
            chunks = flat.view(shape).split(CHUNK)
            images = torch.cat([model.reconstruct({"image": chunk}) for chunk in chunks])
        else:
            images = model.generator(model.latents[chosen])
        numbers[f"psnr_{part}"] = _psnr_of(images.flatten(1), flat)
        numbers[f"psnr_pca_{part}"] = _psnr_of(model.pca_reconstruction(flat), flat)
    return numbers


def _psnr_of(found: Tensor, real: Tensor) -> float:
    return decibels((found - real).square().mean().item())
