"""Decode image files upright, and find the files that cannot be used."""

import io
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import torch
from PIL import Image, ImageCms, ImageOps
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2 import functional as transforms

JPEG = b"\xff\xd8"
XMP_ORIENTATION = b"tiff:Orientation"  # in a JPEG's first segments, which torchvision does not read
HEAD = 2**17  # number of bytes that are searched for it
ORIENTATION = 0x0112  # EXIF tag
SIDEWAYS = (5, 6, 7, 8)  # its values that swap width and height
PROFILES = "a color profile other than sRGB, which is ignored. Convert them if colors matter"
SEVERAL = "more than one image, of which only the first is used"


def decode_image(file: bytes, mode: str) -> Tensor:
    """Decode an image file and turn it upright.

    The orientation in EXIF or XMP data is applied. Color images of 16 bits per channel keep the
    upper 8 bits. Color profiles are ignored.

    Args:
        file: Content of a file in any format that Pillow reads.
        mode: "L" for gray, or "RGB".

    Returns:
        uint8 (C, H, W).

    Raises:
        Exception: Pillow cannot decode the file.
    """
    if mode == "RGB" and file.startswith(JPEG) and XMP_ORIENTATION not in file[:HEAD]:
        with suppress(RuntimeError):  # Pillow decodes some files that torchvision refuses
            content = torch.frombuffer(bytearray(file), dtype=torch.uint8)
            # The same pixels as Pillow in half the time.
            return decode_jpeg(content, ImageReadMode.RGB, apply_exif_orientation=True)
    return transforms.pil_to_tensor(open_upright(io.BytesIO(file), mode))


def open_upright(file: Path | io.BytesIO, mode: str) -> Image.Image:
    """Open an image with Pillow, apply its orientation and convert it to "L" or "RGB"."""
    with Image.open(file) as image:
        image.load()  # for TIFF files this applies the orientation and removes it from the metadata
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:  # all opaque; avoids Pillow's warning about dropped data
            upright = upright.convert("RGBA")
        return upright.convert(mode)


def read_upright_header(file: Path) -> tuple[tuple[int, int], str]:
    """Read the upright (width, height) and the mode of an image file from its header."""
    with Image.open(file) as image:
        width, height = image.size
        turned = image.format != "TIFF" and image.getexif().get(ORIENTATION) in SIDEWAYS
        return ((height, width) if turned else (width, height)), image.mode


def find_faulty_images(files: list[Path]) -> dict[Path, str]:
    """Decode each image file once to find those that cannot be used.

    Warns once about files whose color profile or further images are ignored.

    Returns:
        {file: reason} of the images that cannot be used.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = dict(zip(files, pool.map(_check_file, files), strict=True))
    for remark in (PROFILES, SEVERAL):
        with_remark = [file for file, (_, remarks) in checked.items() if remark in remarks]
        if with_remark:
            first, count = with_remark[0], len(with_remark)
            rank_zero_warn(f"{count} image file(s), such as {first}, have {remark}.")
    return {file: reason for file, (reason, _) in checked.items() if reason}


def raise_if_faulty(faulty: dict[Path, str], count: int, way_out: str) -> None:
    """Raise an error that names the first faulty images, if there are any.

    Args:
        faulty: {file: reason}, see `find_faulty_images`.
        count: Number of images that were checked.
        way_out: What the user can do, for the message.

    Raises:
        ValueError: `faulty` is not empty.
    """
    if faulty:
        named = "\n".join(f"{file}: {why}" for file, why in list(faulty.items())[:5])
        raise ValueError(
            f"{len(faulty)} of {count} images cannot be read; {way_out}. The first:\n{named}"
        )


def _check_file(file: Path) -> tuple[str, tuple[str, ...]]:
    """Return why an image file cannot be used ("" if it can), and remarks on one that can."""
    try:
        with Image.open(file) as image:
            remarks = tuple(_remarks(image))
            image.draft("L", (1, 1))  # JPEG at 1/8 size: reads everything, computes less
            image.load()
            return _why_unusable(image), remarks
    except Exception as error:  # decoders raise many kinds of errors for damaged files
        return repr(error), ()


def _why_unusable(image: Image.Image) -> str:
    """Return why an image cannot be read as 8 bits per channel without loss; "" if it can."""
    if image.mode.startswith(("I", "F")):
        return f"more than 8 bits per channel ({image.mode}), which would be lost: convert it"
    if image.mode == "LAB":
        return "its colors are CIELAB: convert it to RGB"
    # An alpha channel, a palette with alpha values, or one color that is transparent.
    alpha = (
        image.convert("RGBA").getchannel("A").getextrema() if image.has_transparency_data else None
    )
    if alpha and alpha[0] < 255:  # type: ignore[operator]
        return "it is transparent in places: put it on a background"
    return ""


def _remarks(image: Image.Image) -> Iterable[str]:
    """Yield PROFILES and SEVERAL if they apply."""
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:  # MPO: previews of one photo
        yield SEVERAL
    if image.info.get("icc_profile"):
        with suppress(ImageCms.PyCMSError, OSError):  # a damaged profile is ignored
            profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
            name = ImageCms.getProfileDescription(profile)
            if "sRGB" not in name and image.mode in ("RGB", "RGBA", "CMYK"):
                yield PROFILES
