"""Diversity within classes by MS-SSIM (Odena, Olah, Shlens 2017, arXiv 1610.09585, section 4.2)."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from zoo.engine.seeds import keyed_permutation

BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of Wang, Simoncelli, Bovik 2003, fine to coarse
GAUSSIAN_WINDOW, SMALL_WINDOW = 11, 3  # pixels; the Gaussian one has a sigma of 1.5
REAL_IMAGES = 10_000  # largest number of training images that are read to find pairs


def class_ms_ssim(model: Any, data: Any, pairs: int = 100) -> dict[str, float]:
    """Measure how alike two samples of a class are. Call this in `evaluating`.

    Args:
        model: A model conditioned on labels.
        data: The data module.
        pairs: Number of pairs of samples of each class.

    Returns:
        ms_ssim_within_classes: the mean over all pairs and classes; lower is more diverse, and 1
        means that all samples of a class are equal. real_ms_ssim_within_classes: the same for pairs
        of training images, as many as there are. {} if data and model have different classes, or
        for images smaller than 8x8.
    """
    side = model.hparams.image_size
    if data.classes != model.hparams.classes or side < 8:
        return {}
    samples = []
    for number in range(data.classes):
        label = torch.full((2 * pairs,), number, device=model.device)
        samples.append(data.denormalize(model.sample(len(label), {"label": label})).cpu())
    window, betas = protocol(side)
    name = f"ms_ssim_within_classes_window{window}_scales{len(betas)}_{pairs}"
    numbers = {name: mean_similarity(samples)}
    real = [images for images in training_images(data, 2 * pairs) if len(images) >= 2]
    return numbers | ({f"real_{name}": mean_similarity(real)} if real else {})


def protocol(side: int) -> tuple[int, tuple[float, ...]]:
    """Return the window and the weights of the scales for images of a height and width.

    A Gaussian window of 11 pixels needs two scales of at least that size. Smaller images have a
    uniform window of 3 pixels. The number of scales is at most five, and the coarsest one is not
    smaller than the window. The weights are those of the finest scales of MS-SSIM, and sum to 1.
    """
    window = GAUSSIAN_WINDOW if side >= 2 * GAUSSIAN_WINDOW else SMALL_WINDOW
    scales = 2
    # The condition on the square is that of torchmetrics.
    while scales < 5 and side // 2**scales >= window and side // scales**2 >= window:
        scales += 1
    betas = BETAS[:scales]
    return window, tuple(beta / sum(betas) for beta in betas)


def ms_ssim(one: Tensor, other: Tensor) -> Tensor:
    """Return the MS-SSIM (N,) of pairs of uint8 images (N, C, H, W)."""
    window, betas = protocol(one.shape[-1])
    return multiscale_structural_similarity_index_measure(
        one.double() / 255,
        other.double() / 255,
        gaussian_kernel=window == GAUSSIAN_WINDOW,
        kernel_size=window,
        reduction="none",
        data_range=1.0,
        betas=betas,
    )


def mean_similarity(classes: list[Tensor]) -> float:
    """Return the mean MS-SSIM of neighbors 0 and 1, 2 and 3 ... of uint8 images of each class."""
    pairs = [images[: len(images) // 2 * 2].unflatten(0, (-1, 2)) for images in classes]
    both = torch.cat(pairs)  # (N, 2, C, H, W)
    return ms_ssim(both[:, 0], both[:, 1]).mean().item()


def training_images(data: Any, count: int) -> list[Tensor]:
    """Return up to `count` random training images, uint8 (n, C, H, W), of each class."""
    train = data.source("train")
    chosen = keyed_permutation(len(train), "ms_ssim")[:REAL_IMAGES]
    batch = train[chosen]
    return [batch["image"][batch["label"] == number][:count] for number in range(data.classes)]
