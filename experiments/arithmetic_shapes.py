"""Measure latent arithmetic: python -m experiments.arithmetic_shapes checkpoint=RUN

DCGAN (Radford, Metz, Chintala 2015, arXiv 1511.06434, section 6.3.2) shows latent arithmetic with
images of faces. Colored shapes have attributes that can be read from an image, so that successes
can be counted: shape s1 in color c1, minus s1 in c2, plus s2 in c2, is expected to give s2 in c1.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from datamodules.shapes import COLORS, SHAPES
from zoo.base import GenerativeModule
from zoo.config.cli import main, write_json
from zoo.engine.seeds import reseed
from zoo.media.images import to_uint8
from zoo.plots.latent_paths import arithmetic
from zoo.runs.checkpoints import load_data, load_model

# The attributes (shape, color), each (N,), of the images of latents (N, Z).
ReadAttributes = Callable[[Tensor], tuple[Tensor, Tensor]]
# {(shape, color): positions of the samples that have both attributes}
Cells = dict[tuple[int, int], Tensor]


@torch.no_grad()
def rates(
    checkpoint: str, pool: int = 6000, trials: int = 2000, seed: int = 0, out: str | None = None
) -> dict[str, Any]:
    """Measure how often sums of latents have the expected color and shape.

    Samples a pool of latents and reads the attributes of their images with
    `datamodules.shapes.Shapes.read_attributes`. A trial chooses random exemplars of (s1, c1),
    (s1, c2) and (s2, c2), with s1 != s2 and c1 != c2, and reads the attributes of the image of the
    sum. `base` is the control: the attributes of the mean of the exemplars of (s2, c2), without
    arithmetic.

    Args:
        checkpoint: A run's folder, a checkpoint file, or the name of a pretrained model.
        pool: Number of latents from which exemplars are chosen.
        trials: Number of sums for each number of exemplars.
        seed: Seed of the latents and of the trials.
        out: File to which the JSON is also written.

    Returns:
        Shares of correct colors and shapes by number of exemplars, and the shares by chance.
    """
    model, data = load_model(checkpoint), load_data(checkpoint)
    data.prepare_data()
    reseed(model.device, seed, "arithmetic")
    latents = model.prior(pool)
    read = attribute_reader(model, data)
    shape, color = read(latents)
    cells = cells_of(shape, color)
    real = data.source("test")
    real = real[torch.arange(len(real))]
    attributes = data.read_attributes(real["image"])
    correct = attributes["shape"] * len(COLORS) + attributes["color"] == real["label"]
    result = {
        "chance": {"color": 1 / len(COLORS), "shape": 1 / len(SHAPES)},
        "reader_right_on_test_images": correct.double().mean().item(),
        "cells_of_10_samples_or_more": sum(len(cell) >= 10 for cell in cells.values()),
        **{f"exemplars_{n}": success(latents, cells, read, n, trials) for n in (1, 3, 10)},
    }
    write_json(result, out)
    return result


def attribute_reader(model: GenerativeModule, data: Any) -> ReadAttributes:
    """Return a function that reads the attributes of the images of latents.

    Args:
        model: A model whose `sample` takes the condition `latent`.
        data: A data module with `read_attributes`.
    """

    def read(latents: Tensor) -> tuple[Tensor, Tensor]:
        chunks = [model.sample(len(z), {"latent": z}) for z in latents.split(500)]
        attributes = data.read_attributes(to_uint8(torch.cat(chunks)))
        return attributes["shape"], attributes["color"]

    return read


def cells_of(shape: Tensor, color: Tensor) -> Cells:
    """Group samples by their attributes.

    Args:
        shape: Index of each sample's shape, (N,).
        color: Index of each sample's color, (N,).

    Returns:
        {(shape, color): positions of the samples}.
    """
    return {
        (s, c): ((shape == s) & (color == c)).nonzero().flatten()
        for s in range(len(SHAPES))
        for c in range(len(COLORS))
    }


def success(
    latents: Tensor, cells: Cells, read: ReadAttributes, exemplars: int, trials: int
) -> dict[str, float]:
    """Compute the shares of trials with the expected shape and color.

    Args:
        latents: The pool, (N, Z).
        cells: Positions in the pool by attributes.
        read: Reads the attributes of the images of latents.
        exemplars: Number of latents whose mean is one term of the sum.
        trials: Number of sums. A trial with too few exemplars is left out.

    Returns:
        {shape, color, base_shape, base_color, trials}; {trials: 0} if all trials were left out.
    """
    sums, bases, targets = [], [], []
    for _ in range(trials):
        s1, s2 = torch.randperm(len(SHAPES))[:2].tolist()
        c1, c2 = torch.randperm(len(COLORS))[:2].tolist()
        if min(len(cells[cell]) for cell in [(s1, c1), (s1, c2), (s2, c2)]) < exemplars:
            continue
        base, minus, plus = (
            latents[cells[cell][torch.randperm(len(cells[cell]))[:exemplars]]]
            for cell in [(s1, c1), (s1, c2), (s2, c2)]
        )
        sums.append(arithmetic(base, minus, plus))
        bases.append(plus.mean(dim=0))
        targets.append((s2, c1))
    if not targets:  # every cell has too few samples
        return {"trials": 0}
    shape, color = torch.tensor(targets).T
    results = {"": read(torch.stack(sums)), "base_": read(torch.stack(bases))}
    shares = {
        f"{prefix}{attribute}": (value == target).double().mean().item()
        for prefix, pair in results.items()
        for attribute, value, target in zip(("shape", "color"), pair, (shape, color), strict=True)
    }
    return shares | {"trials": len(targets)}


if __name__ == "__main__":
    main(rates)
