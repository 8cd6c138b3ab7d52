"""Image files as tensors: decoded upright, or refused with the reason."""

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
HEAD = 2**17  # bytes that are searched for it
ORIENTATION = 0x0112  # EXIF tag
SIDEWAYS = (5, 6, 7, 8)  # its values that swap width and height
PROFILES = "a colour profile other than sRGB, which is ignored: convert them if colours matter"
SEVERAL = "more than one image, of which the first is used"


def decode_image(file: bytes, mode: str) -> Tensor:
    """Decode an image file and turn it upright.

    The orientation that EXIF or XMP data name is applied. Images of 16 bits a channel in color keep
    the upper 8; colour profiles are ignored.

    Args:
        file: content of a file of any format that Pillow reads.
        mode: "L" or "RGB".

    Returns:
        uint8 (C, H, W).

    Raises:
        Exception: Pillow's, for a file that cannot be decoded.
    """
    if mode == "RGB" and file.startswith(JPEG) and XMP_ORIENTATION not in file[:HEAD]:
        with suppress(RuntimeError):  # Pillow decodes some files that torchvision refuses
            content = torch.frombuffer(bytearray(file), dtype=torch.uint8)
            # The same pixels as Pillow's in half the time.
            return decode_jpeg(content, ImageReadMode.RGB, apply_exif_orientation=True)
    return transforms.pil_to_tensor(open_upright(io.BytesIO(file), mode))


def open_upright(file: Path | io.BytesIO, mode: str) -> Image.Image:
    """Open an image with Pillow, apply its orientation and convert it to "L" or "RGB"."""
    with Image.open(file) as image:
        image.load()  # a TIFF file is turned here, and then no longer names an orientation
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:  # opaque, but Pillow warns of what it would drop
            upright = upright.convert("RGBA")
        return upright.convert(mode)


def read_upright_header(file: Path) -> tuple[tuple[int, int], str]:
    """(width, height) of an image file when it is upright, and its mode, from its header alone."""
    with Image.open(file) as image:
        width, height = image.size
        turned = image.format != "TIFF" and image.getexif().get(ORIENTATION) in SIDEWAYS
        return ((height, width) if turned else (width, height)), image.mode


def find_faulty_images(files: list[Path]) -> dict[Path, str]:
    """Decode each image file once.

    Warns once, with their number, of images that are used otherwise than their file says.

    Returns:
        {file: reason} of the images that cannot be used.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = dict(zip(files, pool.map(_check, files), strict=True))
    for remark in (PROFILES, SEVERAL):
        with_remark = [file for file, (_, remarks) in checked.items() if remark in remarks]
        if with_remark:
            first, count = with_remark[0], len(with_remark)
            rank_zero_warn(f"{count} image file(s), such as {first}, have {remark}.")
    return {file: reason for file, (reason, _) in checked.items() if reason}


def raise_if_faulty(found: dict[Path, str], count: int, way_out: str) -> None:
    """ValueError that names the first of `faults` among `count` images, if there are any."""
    if found:
        named = "\n".join(f"{file}: {why}" for file, why in list(found.items())[:5])
        raise ValueError(
            f"{len(found)} of {count} images cannot be read; {way_out}. The first:\n{named}"
        )


def _check(file: Path) -> tuple[str, tuple[str, ...]]:
    """Why an image file cannot be used, empty if it can, and remarks on one that can."""
    try:
        with Image.open(file) as image:
            remarks = tuple(_remarks(image))
            image.draft("L", (1, 1))  # JPEG at an eighth of its size: all is read, less is computed
            image.load()
            return _unfit(image), remarks
    except Exception as error:  # on broken bytes decoders raise almost anything
        return repr(error), ()


def _unfit(image: Image.Image) -> str:
    """Why an image cannot be taken as 8 bits a channel without loss; empty if it can."""
    if image.mode.startswith(("I", "F")):
        return f"more than 8 bits a channel ({image.mode}), which would be cut off: convert it"
    if image.mode == "LAB":
        return "its colours are CIELAB: convert it to RGB"
    # An alpha channel, a palette with alpha values, or one colour that is transparent.
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        return "it is transparent in places: put it on a background"
    return ""


def _remarks(image: Image.Image) -> Iterable[str]:
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:  # MPO: previews of one photo
        yield SEVERAL
    if image.info.get("icc_profile"):
        with suppress(ImageCms.PyCMSError, OSError):  # a damaged profile is none
            profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
            name = ImageCms.getProfileDescription(profile)
            if "sRGB" not in name and image.mode in ("RGB", "RGBA", "CMYK"):
                yield PROFILES
