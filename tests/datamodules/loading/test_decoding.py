"""Images are upright and of 8 bits a channel, or are refused with the reason."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from torch import Tensor

from datamodules.loading import decoding
from datamodules.loading.decoding import decode_image, find_faulty_images, read_upright_header

ORIENTATION = 0x0112


@pytest.fixture
def figure():
    """Noise, 40 wide and 24 high, so smooth that JPEG keeps it nearly as it is."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (3, 5, 3), generator=generator, dtype=torch.uint8)
    return Image.fromarray(pixels.numpy()).resize((40, 24))


def pixels_of(figure, mode="RGB"):
    pixels = torch.from_numpy(np.array(figure.convert(mode)))
    return pixels.view(*pixels.shape[:2], -1).movedim(-1, 0)


def turned(upright: Tensor, orientation: int) -> Tensor:
    """How the pixels of an upright image (C, H, W) are stored under a value of EXIF's tag.

    By the standard: where the 0th row and the 0th column of what is stored lie when it is seen.
    """
    seen = {
        1: upright,  # top, left
        2: upright.flip(2),  # top, right
        3: upright.flip(1, 2),  # bottom, right
        4: upright.flip(1),  # bottom, left
        5: upright.mT,  # left, top
        6: upright.flip(2).mT,  # right, top
        7: upright.flip(1, 2).mT,  # right, bottom
        8: upright.flip(1).mT,  # left, bottom
    }
    return seen[orientation]


def encoded(pixels: Tensor, kind: str, orientation: int) -> bytes:
    figure = Image.fromarray(pixels.movedim(0, -1).contiguous().numpy())
    exif, file = Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = orientation
    xmp = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="r"><rdf:Description'
    xmp += f' xmlns:tiff="t" tiff:Orientation="{orientation}"/></rdf:RDF></x:xmpmeta>'
    options = {"quality": 100, "subsampling": 0} if kind in ("JPEG", "XMP", "MPO") else {}
    options |= {"lossless": True} if kind == "WEBP" else {}
    options |= {
        "TIFF": {"tiffinfo": {ORIENTATION: orientation}},
        "XMP": {"xmp": xmp.encode()},
        "MPO": {"exif": exif, "save_all": True, "append_images": [figure]},
    }.get(kind, {"exif": exif})
    figure.save(file, "JPEG" if kind == "XMP" else kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("kind", ["JPEG", "XMP", "MPO", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright(kind, orientation, mode, figure, tmp_path):
    upright = pixels_of(figure)
    file = tmp_path / "a"
    file.write_bytes(encoded(turned(upright, orientation), kind, orientation))
    image = decode_image(file.read_bytes(), mode)
    assert image.shape == (len(mode), 24, 40)
    assert read_upright_header(file) == ((40, 24), "RGB")
    assert (image.int() - pixels_of(figure, mode).int()).abs().max() <= 5


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [True, False])
def test_a_jpeg_is_decoded_as_pil_does(mode, progressive, figure, tmp_path):
    """Whatever the file is called; PIL writes CMYK inverted, as Adobe does."""
    file = tmp_path / "misnamed.png"
    figure.convert(mode).save(file, "JPEG", progressive=progressive)
    for whole in ("RGB", "L"):
        with Image.open(file) as opened:
            assert torch.equal(decode_image(file.read_bytes(), whole), pixels_of(opened, whole))


def test_what_torchvision_does_not_take_is_left_to_pil(figure, monkeypatch):
    """A file that is cut off is refused by both, with PIL's error; others PIL may take."""
    file = io.BytesIO()
    figure.save(file, "JPEG")
    with pytest.raises(OSError, match=r"(?i)truncated"):
        decode_image(file.getvalue()[: len(file.getvalue()) // 2], "RGB")

    def refuse(*arguments, **keywords):
        raise RuntimeError

    monkeypatch.setattr(decoding, "decode_jpeg", refuse)
    assert decode_image(file.getvalue(), "RGB").shape == (3, 24, 40)


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of 16 bits a channel, which PIL does not write in color: uint16 (H, W, C)."""
    height, width, channels = pixels.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(name, content):
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_16_bits_in_color_keep_the_upper_8_and_in_gray_are_refused(tmp_path):
    levels = np.array([0, 255, 256, 60_000, 65_535], dtype=np.uint16)
    color, grey = tmp_path / "color.png", tmp_path / "grey.png"
    color.write_bytes(png(np.stack([levels] * 3, axis=-1)[None]))
    grey.write_bytes(png(levels[None, :, None]))
    expected = [0, 0, 1, 234, 255]
    assert decode_image(color.read_bytes(), "RGB")[0, 0].tolist() == expected
    found = find_faulty_images([color, grey])
    assert list(found) == [grey]
    assert "more than 8 bits per channel" in found[grey]


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "palette", "LA", "RGBA", "16 bits"])
@pytest.mark.parametrize("transparent", [True, False])
def test_images_that_are_transparent_anywhere_are_refused(mode, transparent, tmp_path):
    """By alpha, by alphas of a palette or by one color; but not where it occurs in no pixel."""
    file = tmp_path / "a.png"
    dark, bright = 0, 255  # of the two pixels, both opaque or the dark one not
    if mode == "16 bits":
        pixels = np.full((1, 2, 4), 65_535, dtype=np.uint16)
        pixels[0, 0, 3] = 60_000 if transparent else 65_535
        file.write_bytes(png(pixels))
    elif mode in ("LA", "RGBA"):
        figure = Image.new(mode, (2, 1), (*[bright] * (len(mode) - 1), 255))
        figure.putpixel((0, 0), (*[dark] * (len(mode) - 1), 254 if transparent else 255))
        figure.save(file)
    elif mode == "palette":
        figure = Image.new("P", (2, 1), 1)
        figure.putpalette([0, 0, 0, 255, 255, 255])
        figure.putpixel((0, 0), 0)
        figure.save(file, transparency=bytes([128 if transparent else 255, 255]))
    else:
        figure = Image.new(mode, (2, 1), (bright,) * 3 if mode == "RGB" else bright)
        figure.putpixel((0, 0), (dark,) * 3 if mode == "RGB" else dark)
        unused = 7 if mode in "LP" else (7, 7, 7)
        if mode == "1" and not transparent:  # it has no third color
            figure.save(file)
        else:
            named = ((dark,) * 3 if mode == "RGB" else dark) if transparent else unused
            figure.save(file, transparency=named)
    found = find_faulty_images([file])
    assert bool(found) == transparent
    assert all("transparent in places: put it on a background" in why for why in found.values())
    if not transparent and mode not in ("P", "16 bits"):
        assert decode_image(file.read_bytes(), "RGB")[:, 0].tolist() == [[dark, bright]] * 3


def test_colors_that_cannot_be_converted_are_refused(tmp_path):
    Image.new("LAB", (2, 2)).save(tmp_path / "a.tif")
    assert "CIELAB" in find_faulty_images([tmp_path / "a.tif"])[tmp_path / "a.tif"]


def test_profiles_and_further_images_are_reported_once(tmp_path, recwarn):
    """sRGB's own profile, and the previews that a camera adds, are as they should be."""
    red = Image.new("RGB", (8, 8), "red")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red.save(tmp_path / "srgb.png", icc_profile=srgb)
    red.save(tmp_path / "camera.jpg", "MPO", save_all=True, append_images=[red])
    red.save(tmp_path / "broken.png", icc_profile=b"none")
    assert find_faulty_images(sorted(tmp_path.iterdir())) == {}
    assert not recwarn.list
    other = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for number in range(3):
        red.save(tmp_path / f"wide{number}.png", icc_profile=other)
    red.save(tmp_path / "two.tif", save_all=True, append_images=[red])
    assert find_faulty_images(sorted(tmp_path.iterdir())) == {}
    messages = [str(warning.message) for warning in recwarn.list]
    assert len(messages) == 2
    assert "3 image file(s), such as" in messages[0]
    assert "color profile other than sRGB" in messages[0]
    assert "1 image file(s)" in messages[1]
    assert "two.tif" in messages[1]
