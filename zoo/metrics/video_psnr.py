"""How near predicted frames come to real ones where something moves, beside copies of the last.

Frames are floats (N, C, H, W) in [-1, 1], `where` is bool (N, 1, H, W), and each measure is (N,),
NaN of a frame of which nothing is asked.
"""

from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d
from torchmetrics.functional.image import structural_similarity_index_measure

from zoo.engine.seeds import keyed_permutation

PEAK = 2.0  # the range of [-1, 1]
CAP = 50.0  # decibels, of frames that are all but equal
STEP = 0.1  # a pixel that changes by more moves
REACH = 2  # and so do those that are no further away
MOST = 1000  # clips that are predicted, a fixed choice
CHUNK = 100  # of them at once


def moving(last: Tensor, real: Tensor) -> Tensor:
    """Where a real frame differs from the one before it, or a pixel nearby does."""
    changes = (real - last).abs().amax(dim=1, keepdim=True) > STEP
    return max_pool2d(changes.float(), 2 * REACH + 1, stride=1, padding=REACH) > 0


def psnr(fake: Tensor, real: Tensor, where: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in decibels, at most CAP."""
    return decibels(mean((fake - real).square(), where))


def ssim(fake: Tensor, real: Tensor, where: Tensor) -> Tensor:
    """Structural similarity by a Gaussian window of 11 pixels, sigma 1.5; all pixels go into it."""
    fake, real = ((frames + 1) / 2 for frames in (fake, real))  # its first factor is of brightness
    _, similarity = structural_similarity_index_measure(
        fake, real, data_range=1.0, return_full_image=True
    )
    return mean(similarity, where)


def sharpness(fake: Tensor, real: Tensor, where: Tensor) -> Tensor:
    """Decibels of the difference of the gradients' magnitudes, at most CAP.

    10 log10 (PEAK² / mean |(|∂x Y| + |∂y Y|) - (|∂x Y^| + |∂y Y^|)|), Mathieu et al. 2015 (arXiv
    1511.05440), in the scale of the authors' code; the error is no square there either.
    """
    return decibels(mean((magnitudes(fake) - magnitudes(real)).abs(), where[:, :, 1:, 1:]))


def magnitudes(frames):
    """|Y_ij - Y_i-1,j| + |Y_ij - Y_i,j-1|, (N, C, H - 1, W - 1)."""
    return frames.diff(dim=2).abs()[:, :, :, 1:] + frames.diff(dim=3).abs()[:, :, 1:]


def contrast(fake: Tensor, real: Tensor, where: Tensor) -> Tensor:
    """The standard deviation of pixels over that of the real ones: 0 of a blank frame."""
    variances = []
    for frames in (fake, real):
        centred = frames - mean(frames, where)[:, None, None, None]
        variances.append(mean(centred.square(), where))
    fake, real = variances
    return (fake / real).sqrt().where(real > 0, torch.nan)


def mean(values: Tensor, where: Tensor) -> Tensor:
    """That of values (N, C, H, W) at some pixels."""
    where = where.expand_as(values)
    return (values * where).flatten(1).sum(dim=1) / where.flatten(1).sum(dim=1)


def decibels(error):
    return (10 * (PEAK**2 / error).log10()).clamp(max=CAP)


MEASURES = {
    "psnr_moving": psnr,
    "ssim_moving": ssim,
    "sharp_moving": sharpness,
    "contrast_moving": contrast,
    "psnr": psnr,
}


def predictions(model, data, split) -> dict[str, float]:
    """{what: number} of the frames after the past of a split's videos, each fed back for the next.

    psnr_moving_frame1_SPLIT: of the first frame, on moving pixels; psnr_...: on all. copy_...: of
    the last past frame in its place. Means over videos, those without motion left out. A contrast
    below 0.5 says that frames are going blank. {} without videos.
    """
    source, found = data.source(split), {}
    chosen = keyed_permutation(len(source), "predictions")[:MOST]
    for positions in chosen.split(CHUNK) if len(chosen) else ():
        past, future = model.split(data.prepare_batch(source[positions], model)["video"])
        before = torch.cat([past[:, -1:], future[:, :-1]], dim=1)
        fakes = {"": model.predict(past, future.shape[1]), "copy_": past[:, -1:].expand_as(future)}
        for step in range(future.shape[1]):
            real = future[:, step]
            motion = moving(before[:, step], real)
            for (baseline, fake), what in product(fakes.items(), MEASURES):
                where = motion if "moving" in what else torch.ones_like(motion)
                value = MEASURES[what](fake[:, step], real, where)
                found.setdefault(f"{baseline}{what}_frame{step + 1}_{split}", []).append(value)
    return {name: torch.cat(values).nanmean().item() for name, values in found.items()}
