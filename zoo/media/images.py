"""Images: quantization to uint8 and other levels, grids, files, logging."""

import math
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor
from torch.nn.functional import interpolate, pad
from torchvision.transforms.v2.functional import to_pil_image
from torchvision.utils import make_grid

from zoo.atomic_files import replacing

MARGIN = 2  # pixels around each image of a grid
GUTTER = 210  # their gray level: light, and neither black nor white


def to_uint8(images: Tensor) -> Tensor:
    """Quantize floats in [-1, 1] of any shape to uint8: 255 (x + 1) / 2, rounded and clamped.

    Raises:
        ValueError: The images contain NaN.
    """
    if images.isnan().any():
        raise ValueError("the images contain NaN")
    return ((images.float() + 1) / 2 * 255).round().clamp(0, 255).to(torch.uint8)


def from_uint8(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Convert uint8 images of any shape to floats in [-1, 1]."""
    wide = torch.promote_types(dtype, torch.float32)  # half precision is rounded only once
    return (images.to(wide) / 127.5 - 1).to(dtype)


def dequantize(images: Tensor) -> Tensor:
    """Add uniform noise of one bin to floats in [-1, 1] on the 256 levels of uint8.

    Rounding to the nearest level restores the images. Values may exceed [-1, 1] by 1 / 255, half a
    bin.
    """
    noise = torch.rand(*images.shape, device=images.device, dtype=images.dtype)
    return images + (2 * noise - 1) / 255


def to_levels(images: Tensor, count: int) -> Tensor:
    """Quantize floats to evenly spaced levels.

    Args:
        images: Floats in [-1, 1], of any shape.
        count: Number of levels.

    Returns:
        int64, 0 to count - 1.
    """
    images = images.to(torch.promote_types(images.dtype, torch.float32))  # half is too coarse
    return ((images + 1) / 2 * (count - 1)).round().clamp(0, count - 1).long()


def from_levels(levels: Tensor, count: int) -> Tensor:
    """Convert levels to floats, the inverse of `to_levels`.

    Args:
        levels: 0 to count - 1, of any shape; integers or floats.
        count: Number of levels.

    Returns:
        Floats in [-1, 1]; float32 for integers.
    """
    if isinstance(levels, Tensor) and not levels.is_floating_point():
        levels = levels.float()  # not torch's default dtype, which may be half precision
    return levels * (2 / (count - 1)) - 1


def grid(images: Tensor, columns: int | None = None, min_side: int = 48) -> Tensor:
    """Lay out images, separated by light gutters.

    Args:
        images: uint8 (N, C, H, W), C of 1 or 3; gray becomes RGB.
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
    """Write a PNG file atomically, and its folder if it does not exist.

    Args:
        image: uint8 (C, H, W), C of 1 or 3.
        path: The file.

    Raises:
        TypeError: The image is not uint8.
    """
    _save(_to_pil(image), path, format="PNG")


def save_gif(video_figures: Tensor, path: str | Path, milliseconds: int = 250) -> None:
    """Write a looping GIF file atomically, and its folder if it does not exist.

    Args:
        video_figures: uint8 (T, C, H, W), C of 1 or 3.
        path: The file.
        milliseconds: Duration of each frame.

    Raises:
        TypeError: The frames are not uint8.
    """
    first, *others = map(_to_pil, video_figures)
    _save(first, path, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0)


def log_image(logger: Any, name: str, image: Tensor, step: int) -> None:
    """Log an image, if the logger takes any; CSVLogger does not.

    Args:
        logger: A Lightning logger.
        name: Name in the log.
        image: uint8 (C, H, W), C of 1 or 3.
        step: Number of the batch.

    Raises:
        TypeError: The image is not uint8.
    """
    figure = _to_pil(image)
    if hasattr(logger, "log_image"):  # Weights & Biases
        logger.log_image(name, [figure], step=step)
    elif hasattr(logger.experiment, "add_image"):  # TensorBoard
        logger.experiment.add_image(name, image, step)


def _save(figure: Image, path: str | Path, format: str, **options: Any) -> None:
    with replacing(path) as file:
        figure.save(file, format=format, **options)


def _to_pil(image: Tensor) -> Image:
    # Pillow truncates floats, and loggers stretch them or turn them black.
    if image.dtype != torch.uint8:
        raise TypeError(f"images are saved and logged as uint8, got {image.dtype}: see to_uint8")
    return to_pil_image(image)


def check_same_shape(samples: torch.Size, images: torch.Size) -> None:
    """Check that samples and images have the same shape.

    Raises:
        ValueError: They differ.
    """
    if samples != images:
        raise ValueError(f"samples of shape {tuple(samples)}, but images of {tuple(images)}")
