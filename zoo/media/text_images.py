"""Text in figures, black on white, in Pillow's built-in font."""

from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

FONT = ImageFont.load_default()
LINE_HEIGHT = 12  # pixels


def text_width(text: str) -> int:
    """Return the width of a line of text in pixels."""
    return -int(-FONT.getlength(text) // 1)


def wrap_text(text: str, width: int) -> list[str]:
    """Break text into lines of at most `width` pixels; a longer word is broken, too."""
    lines: list[str] = []
    while text:
        fits = [end for end in range(1, len(text) + 1) if FONT.getlength(text[:end]) <= width]
        end = fits[-1] if fits else 1
        space = f"{text} ".rfind(" ", 0, end + 1)
        lines.append(text[: space if space > 0 else end])
        text = text[len(lines[-1]) :].lstrip()
    return lines


def text_image(lines: Sequence[str], width: int, height: int, align: str = "left") -> Tensor:
    """Draw lines of text.

    Args:
        lines: From above; what exceeds the size is cropped.
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        align: "left", "center" or "right".

    Returns:
        uint8 (3, height, width).
    """
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        space = width - text_width(line)
        x = {"left": 0, "center": max(space // 2, 0), "right": space}[align]
        draw.text((x, LINE_HEIGHT * number), line, fill="black", font=FONT)
    return pil_to_tensor(image)


def heading(text: str, width: int, height: int | None = None) -> Tensor:
    """Draw text above a column: centered, wrapped, its last line at the lower edge.

    Args:
        text: The text.
        width: Width of the column in pixels.
        height: Height of the image; by default that of the text.

    Returns:
        uint8 (3, height, width).
    """
    lines = wrap_text(text, width - 2)
    text_block = text_image(lines, width, heading_height([text], width), "center")
    space = max((height or text_block.shape[1]) - text_block.shape[1], 0)
    return torch.cat([torch.full((3, space, width), 255, dtype=torch.uint8), text_block], dim=1)


def heading_height(texts: Sequence[str], width: int) -> int:
    """Return the height in pixels that the longest of several headings needs."""
    return LINE_HEIGHT * max(len(wrap_text(text, width - 2)) for text in texts) + 3
