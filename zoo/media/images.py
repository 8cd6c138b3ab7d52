"""Images as they are measured, saved and logged: uint8, quantised once, by one mapping."""

import math
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from pytorch_lightning.loggers import Logger
from torch import Tensor
from torch.nn.functional import interpolate, pad
from torchvision.transforms.v2.functional import to_pil_image
from torchvision.utils import make_grid

from zoo.atomic_files import replacing

MARGIN = 2  # pixels around each image of a grid
GUTTER = 210  # their grey level: light, and neither black nor white


def to_uint8(images: Tensor) -> Tensor:
    """Quantise floats in [-1, 1], of any shape, to uint8: 255 (x + 1) / 2, rounded, clamped.

    Raises ValueError on NaN, which an integer cannot show.
    """
    if images.isnan().any():
        raise ValueError("the images hold NaN")
    return ((images.float() + 1) / 2 * 255).round().clamp(0, 255).to(torch.uint8)


def from_uint8(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Floats in [-1, 1] of uint8, of any shape."""
    wide = torch.promote_types(dtype, torch.float32)  # so that half precision rounds once
    return (images.to(wide) / 127.5 - 1).to(dtype)


def dequantize(images: Tensor) -> Tensor:
    """Floats in [-1, 1] on the 256 levels of uint8, spread evenly over the bins of their levels.

    To the nearest level they are as before; a pixel may leave [-1, 1] by half a bin, 1 / 255.
    """
    noise = torch.rand(*images.shape, device=images.device, dtype=images.dtype)
    return images + (2 * noise - 1) / 255


def to_levels(images: Tensor, count: int) -> Tensor:
    """The nearest of `count` levels, evenly spaced from -1 to 1, of each float: int64, from 0."""
    images = images.to(torch.promote_types(images.dtype, torch.float32))  # half has too few digits
    return ((images + 1) / 2 * (count - 1)).round().clamp(0, count - 1).long()


def from_levels(levels: Tensor, count: int) -> Tensor:
    """Floats in [-1, 1] of levels 0 to count - 1; float32 where these are integers."""
    if isinstance(levels, Tensor) and not levels.is_floating_point():
        levels = levels.float()  # not torch's default dtype, which may be half precision
    return levels * (2 / (count - 1)) - 1


def grid(images: Tensor, columns: int | None = None, min_side: int = 48) -> Tensor:
    """Lay out images, separated by light gutters.

    Args:
        images: uint8 (N, C, H, W), C of 1 or 3; grey becomes RGB.
        columns: Images in a row; by default the layout is as square as N allows.
        min_side: Small images are enlarged by a whole number, pixel for pixel, until both sides
            reach it.

    Returns:
        uint8 (3, H', W').
    """
    columns = columns or math.ceil(math.sqrt(len(images)))
    factor = math.ceil(min_side / min(images.shape[-2:]))
    cells = interpolate(images, scale_factor=factor).expand(-1, 3, -1, -1)
    cells = pad(cells, (MARGIN,) * 4, value=GUTTER)
    return make_grid(cells, nrow=columns, padding=0, pad_value=GUTTER)


def grid_of(samples: Tensor) -> Tensor:
    """Return the grid (3, H', W') of floats (N, C, H, W) in [-1, 1]."""
    return grid(to_uint8(samples))


def save_png(image: Tensor, path: str | Path) -> None:
    """Write a uint8 image (C, H, W), C of 1 or 3, making the folder where it is missing.

    A reader never meets half a file. Raises TypeError for any other dtype.
    """
    _save(_picture(image), path, format="PNG")


def save_gif(video_figures: Tensor, path: str | Path, milliseconds: int = 250) -> None:
    """Write uint8 images (T, C, H, W), C of 1 or 3, as an animation that begins again at its end.

    As save_png does; milliseconds: of each image.
    """
    first, *others = map(_picture, video_figures)
    _save(first, path, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0)


def log_image(logger: Logger, name: str, image: Tensor, step: int) -> None:
    """Hand a uint8 image (C, H, W), C of 1 or 3, to a Lightning logger.

    Nothing happens for a logger that takes no images, such as CSVLogger. Raises TypeError for any
    other dtype.
    """
    figure = _picture(image)
    if hasattr(logger, "log_image"):  # Weights & Biases
        logger.log_image(name, [figure], step=step)
    elif hasattr(logger.experiment, "add_image"):  # TensorBoard
        logger.experiment.add_image(name, image, step)


def _save(figure: Image, path: str | Path, format: str, **options: Any) -> None:
    with replacing(path) as file:
        figure.save(file, format=format, **options)


def _picture(image: Tensor) -> Image:
    # Floats would be truncated by Pillow, stretched or blackened by the loggers.
    if image.dtype != torch.uint8:
        raise TypeError(f"images are saved and logged as uint8, got {image.dtype}: see to_uint8")
    return to_pil_image(image)


def check_same_shape(samples: torch.Size, images: torch.Size) -> None:
    """ValueError unless samples and images are of the same shape."""
    if samples != images:
        raise ValueError(f"samples of shape {tuple(samples)}, but images of {tuple(images)}")
