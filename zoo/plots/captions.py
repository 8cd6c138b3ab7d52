"""Pictures of what a model makes of captions, which stand beside them."""

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import pad
from torchvision.transforms.v2.functional import pil_to_tensor

from zoo.plots.grids import as_images, panel
from zoo.plots.held_out import held_out_batch

FONT = ImageFont.load_default()
WIDTH, LINE, MARGIN = 156, 12, 6  # pixels: of a line of a legend, its height, what is beside it


def captioned(model, data, rows=6, columns=8):
    """{name: uint8 (3, H, W)} of test captions; {} without two of them.

    captions: `columns` samples of each caption. interpolations: from one caption's embedding to
    another's, z is the same in a row. styles: the z that the style encoder finds in the test images
    of the first row, with the captions of the other rows.
    """
    if not hasattr(data, "captions"):
        return {}
    batch = held_out_batch(model, data, 2 * rows)
    if batch is None:
        return {}
    embeddings, said = model.embed(batch["text"]), data.captions(batch["text"])
    rows = len(said) // 2
    if not rows:
        return {}
    first, second = embeddings[:rows], embeddings[rows : 2 * rows]
    steps = torch.linspace(0, 1, columns, device=first.device, dtype=first.dtype)[:, None]
    between = torch.lerp(first[:, None], second[:, None], steps)  # (rows, columns, F)
    ends = zip(said[:rows], said[rows : 2 * rows], strict=True)
    paths = [f"{one} -> {other}" for one, other in ends]
    image = batch["image"][-columns:]
    style = model.style_encoder(image)

    def drawn(latent, embedding):
        """uint8 (rows, columns, C, H, W); both are (rows, columns, ...)."""
        images = model.generator(latent.flatten(0, 1), embedding.flatten(0, 1))
        return as_images(model, images).unflatten(0, embedding.shape[:2])

    one = model.prior(rows)[:, None].expand(-1, columns, -1)
    many = model.prior(rows * columns).unflatten(0, (rows, columns))
    styles = style[None].expand(rows, -1, -1)
    transferred = drawn(styles, first[:, None].expand(-1, len(style), -1))
    return {
        "captions": with_legends(said[:rows], drawn(many, first[:, None].expand(-1, columns, -1))),
        "interpolations": with_legends(paths, drawn(one, between)),
        "styles": with_legends(
            ["", *said[:rows]], torch.cat([as_images(model, image)[None], transferred])
        ),
    }


def with_legends(texts: list[str], images: Tensor) -> Tensor:
    """uint8 (3, H, W): rows of uint8 images (R, K, C, H, W), on the left of each what it is of."""
    rows = [panel(row, columns=len(row)) for row in images]
    lines = [wrapped(text) for text in texts]
    height = max([row.shape[1] for row in rows] + [LINE * (len(of_row) + 1) for of_row in lines])
    rows = [pad(row, (0, 0, 0, height - row.shape[1]), value=255) for row in rows]
    legends = [legend(of_row, height) for of_row in lines]
    whole = [torch.cat(pair, dim=2) for pair in zip(legends, rows, strict=True)]
    return torch.cat(whole, dim=1)


def wrapped(text: str) -> list[str]:
    """Its lines of at most WIDTH pixels; a word that is longer is cut in two."""
    lines = []
    while text:
        fits = [end for end in range(1, len(text) + 1) if FONT.getlength(text[:end]) <= WIDTH]
        end, space = fits[-1], f"{text} ".rfind(" ", 0, fits[-1] + 1)
        lines.append(text[: space if space > 0 else end])
        text = text[len(lines[-1]) :].lstrip()
    return lines


def legend(lines: list[str], height: int) -> Tensor:
    """Black on white, uint8 (3, height, W)."""
    figure = Image.new("RGB", (WIDTH + 2 * MARGIN, height), "white")
    pen = ImageDraw.Draw(figure)
    for place, line in enumerate(lines):
        pen.text((MARGIN, LINE * place + 2), line, fill="black", font=FONT)
    return pil_to_tensor(figure)
