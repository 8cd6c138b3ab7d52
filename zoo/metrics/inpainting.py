"""How near hidden pixels of images come to the real ones, and how sharp they are beside them."""

import torch
from torch import Tensor

from zoo.media.images import to_uint8
from zoo.metrics.compute import count_name

MOST = 1000  # images
BATCH = 100  # of them at once
CAP = 50.0  # decibels, of holes that are all but equal


def hole_scores(model, data, split):
    """{name: number} of up to MOST images of a split; {} of none. Call it in `evaluating`.

    For the numbers see `scores`. A batch's mask is that of the data, or one that the model draws.
    """
    source = data.source(split)
    if not len(source):
        return {}
    found = []
    for chosen in torch.arange(min(MOST, len(source))).split(BATCH):
        batch = data.prepare_batch(source[chosen], model)
        mask = model.mask(batch)
        images = batch["image"], model.fill(batch["image"], mask)
        found.append([*(to_uint8(one).cpu() for one in images), mask.cpu()])
    real, fake, mask = (torch.cat(parts) for parts in zip(*found, strict=True))
    name = f"hole_{data.name}_{count_name(len(real))}_{split}"
    return {f"{what}_{name}": value for what, value in scores(real, fake, mask).items()}


def scores(real: Tensor, fake: Tensor, mask: Tensor) -> dict[str, float]:
    """{what: number} of uint8 images (N, C, H, W) where a mask (N, 1, H, W) hides them.

    l1, l2: means of the errors' magnitudes and squares, of values in [0, 1]. psnr: decibels of the
    mean l2; psnr_each: mean over the images of those of each, at most CAP, as in the paper.
    sharpness: the gradient energy, as that of zoo.metrics.sharpness, of neighbours that are both
    hidden, over that of the real ones: 1 is as sharp, less is blurred.
    """
    real, fake = real.double() / 255, fake.double() / 255
    error = (fake - real).where(mask, 0)
    count = mask.sum(dim=(1, 2, 3)) * real.shape[1]
    squares = error.square().sum(dim=(1, 2, 3))
    l2 = squares.sum() / count.sum()
    numbers = {
        "l1": error.abs().sum() / count.sum(),
        "l2": l2,
        "psnr": (-10 * l2.log10()).clamp(max=CAP),
        "psnr_each": (-10 * (squares / count).log10()).clamp(max=CAP).mean(),
        "sharpness": gradient_energy(fake, mask) / gradient_energy(real, mask),
    }
    return {name: number.item() for name, number in numbers.items()}


def gradient_energy(images: Tensor, mask: Tensor) -> Tensor:
    """Mean square differences of neighbours, both hidden, in rows and in columns, added."""
    energy = 0
    for dim in (2, 3):
        pairs = mask.narrow(dim, 1, mask.shape[dim] - 1) & mask.narrow(dim, 0, mask.shape[dim] - 1)
        squares = images.diff(dim=dim).square().where(pairs, 0)
        energy = energy + squares.sum() / (pairs.sum() * images.shape[1]).clamp(min=1)
    return energy.clamp(min=1e-12)
