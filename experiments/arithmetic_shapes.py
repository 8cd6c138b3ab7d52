"""Latent arithmetic in numbers: python -m experiments.arithmetic_shapes checkpoint=RUN

DCGAN (Radford, Metz, Chintala 2015, arXiv 1511.06434, section 6.3.2) shows it in pictures of faces.
Colored shapes have attributes that can be read off an image, so that successes can be counted:
a shape s1 in color c1, less s1 in c2, plus s2 in c2, ought to be s2 in c1.
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


@torch.no_grad()
def rates(
    checkpoint: str, pool: int = 6000, trials: int = 2000, seed: int = 0, out: str | None = None
):
    """Says how often sums of latents have the color and the shape that they ought to have.

    Latents are drawn and their images read by `datamodules.shapes.Shapes.read_attributes`; a trial
    takes exemplars of (s1, c1), (s1, c2) and (s2, c2) at random, s1 != s2 and c1 != c2, and
    reads what the image of the sum shows. `base` is the control: what the mean of the exemplars of
    (s2, c2) shows, without any arithmetic.

    checkpoint: a run's folder, a checkpoint file, or the name of a pretrained model
    pool: latents among which exemplars are found
    trials: sums, for each number of exemplars
    seed: of the latents and the trials
    out: file to write the JSON to as well
    """
    model, data = load_model(checkpoint), load_data(checkpoint)
    data.prepare_data()
    reseed(model.device, seed, "arithmetic")
    latents = model.prior(pool)
    read = reader(model, data)
    shape, color = read(latents)
    cells = cells_of(shape, color)
    real = data.source("test")
    real = real[torch.arange(len(real))]
    seen = data.read_attributes(real["image"])
    right = seen["shape"] * len(COLORS) + seen["colour"] == real["label"]
    result = {
        "chance": {"colour": 1 / len(COLORS), "shape": 1 / len(SHAPES)},
        "reader_right_on_test_images": right.double().mean().item(),
        "cells_of_10_samples_or_more": sum(len(places) >= 10 for places in cells.values()),
        **{f"exemplars_{n}": success(latents, cells, read, n, trials) for n in (1, 3, 10)},
    }
    write_json(result, out)
    return result


def reader(model: GenerativeModule, data: Any) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The function of latents (N, Z) to shape and color (N,) of their images."""

    def read(latents: Tensor):
        chunks = [model.sample(len(z), {"latent": z}) for z in latents.split(500)]
        seen = data.read_attributes(to_uint8(torch.cat(chunks)))
        return seen["shape"], seen["colour"]

    return read


def cells_of(shape: Tensor, color: Tensor):
    """{(shape, color): places of the samples that show it}."""
    return {
        (s, c): ((shape == s) & (color == c)).nonzero().flatten()
        for s in range(len(SHAPES))
        for c in range(len(COLORS))
    }


def success(latents: Tensor, cells, read, exemplars, trials):
    """{color, shape, base_colour, base_shape}: the share of trials that show the target's."""
    sums, bases, targets = [], [], []
    for _ in range(trials):
        s1, s2 = torch.randperm(len(SHAPES))[:2].tolist()
        c1, c2 = torch.randperm(len(COLORS))[:2].tolist()
        if min(len(cells[cell]) for cell in [(s1, c1), (s1, c2), (s2, c2)]) < exemplars:
            continue
        first, less, base = (
            latents[cells[cell][torch.randperm(len(cells[cell]))[:exemplars]]]
            for cell in [(s1, c1), (s1, c2), (s2, c2)]
        )
        sums.append(arithmetic(first, less, base))
        bases.append(base.mean(dim=0))
        targets.append((s2, c1))
    if not targets:  # too few samples in all the cells
        return {"trials": 0}
    shape, color = torch.tensor(targets).T
    found = {"": read(torch.stack(sums)), "base_": read(torch.stack(bases))}
    shares = {
        f"{name}{what}": (seen == target).double().mean().item()
        for name, pair in found.items()
        for what, seen, target in zip(("shape", "colour"), pair, (shape, color), strict=True)
    }
    return shares | {"trials": len(targets)}


if __name__ == "__main__":
    main(rates)
