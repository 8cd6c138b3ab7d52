"""Rows of images beside their captions, and the figures of a model of captions."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo.media.images import grid
from zoo.media.text_images import LINE_HEIGHT, text_image, text_width, wrap_text
from zoo.plots.grids import as_images
from zoo.plots.held_out import held_out_batch

MAX_WIDTH, MARGIN = 156, 6  # pixels: of a line of a caption, and on either side of it


def caption_figures(model: Any, data: Any, rows: int = 6, columns: int = 8) -> dict[str, Tensor]:
    """Draw what a model makes of test captions.

    Args:
        model: A text_to_image model.
        data: The data module.
        rows: Number of captions.
        columns: Images in a row.

    Returns:
        Figures uint8 (3, H, W): "captions", samples of each caption; "interpolations", from one
        caption's embedding to another's, with one z in a row; "styles", the z that the style
        encoder finds in test images (first row), with the captions of the other rows. {} without
        two test captions.
    """
    if not hasattr(data, "captions"):
        return {}
    batch = held_out_batch(model, data, 2 * rows)
    if batch is None:
        return {}
    embeddings, texts = model.embed(batch["text"]), data.captions(batch["text"])
    rows = len(texts) // 2
    if not rows:
        return {}

    def generate(latent: Tensor, embedding: Tensor) -> Tensor:
        """Return uint8 (rows, columns, C, H, W) of two tensors (rows, columns, ...)."""
        images = model.generator(latent.flatten(0, 1), embedding.flatten(0, 1))
        return as_images(model, images).unflatten(0, embedding.shape[:2])

    first, second = embeddings[:rows], embeddings[rows : 2 * rows]
    times = torch.linspace(0, 1, columns, device=first.device, dtype=first.dtype)[:, None]
    between = torch.lerp(first[:, None], second[:, None], times)  # (rows, columns, F)
    image = batch["image"][-columns:]
    style = model.style_encoder(image)  # (columns, Z)
    one = model.prior(rows)[:, None].expand(-1, columns, -1)
    many = model.prior(rows * columns).unflatten(0, (rows, columns))
    styles = generate(style[None].expand(rows, -1, -1), first[:, None].expand(-1, len(style), -1))
    paths = [f"{a} -> {b}" for a, b in zip(texts[:rows], texts[rows : 2 * rows], strict=True)]
    samples = generate(many, first[:, None].expand(-1, columns, -1))
    return {
        "captions": with_captions(texts[:rows], samples),
        "interpolations": with_captions(paths, generate(one, between)),
        "styles": with_captions(
            ["", *texts[:rows]], torch.cat([as_images(model, image)[None], styles])
        ),
    }


def with_captions(texts: list[str], images: Tensor) -> Tensor:
    """Draw rows of images with a caption on the left of each.

    Args:
        texts: The caption of each row, wrapped at MAX_WIDTH pixels.
        images: uint8 (rows, columns, C, H, W).

    Returns:
        uint8 (3, H', W').
    """
    rows = [grid(row, columns=len(row)) for row in images]
    lines = [wrap_text(text, MAX_WIDTH) for text in texts]
    height = max([row.shape[1] for row in rows] + [LINE_HEIGHT * (len(text) + 1) for text in lines])
    rows = [pad(row, (0, 0, 0, height - row.shape[1]), value=255) for row in rows]
    width = caption_width(texts)
    captions = [
        pad(text_image(text, width - 2 * MARGIN, height - 2), (MARGIN, MARGIN, 2, 0), value=255)
        for text in lines
    ]
    return torch.cat([torch.cat(pair, dim=2) for pair in zip(captions, rows, strict=True)], dim=1)


def caption_width(texts: list[str]) -> int:
    """Return the width in pixels of the captions' column, margins included."""
    lines = [line for text in texts for line in wrap_text(text, MAX_WIDTH)]
    return max(map(text_width, lines), default=0) + 2 * MARGIN
