"""What `python -m zoo.sample mode=...` shows: (picture, what is in it, findings ...).

A picture is uint8 (3, H, W). Samples have the numbers 0, 1, 2, ... of their places in the grid of
mode=images with the same count and seed, from left to right and from above.
"""

import torch

from zoo.config.errors import UserError, unknown
from zoo.engine import inversion
from zoo.engine.sampling import CHUNK, draw
from zoo.engine.seeds import keyed_permutation, reseed
from zoo.metrics import nearest_neighbours
from zoo.plots import latent_paths
from zoo.plots.grids import as_images, below, beside, images_of, panel, sign

MOST_HELD_OUT = 1000  # test images that samples are compared with, a fixed choice
PATHS = {"linear": latent_paths.linear, "spherical": latent_paths.spherical}


def interpolate(model, count, seed, condition, rows, steps, path):
    """Row r leads from sample r to sample r + 1, under the conditions of sample r."""
    if path not in PATHS:
        raise unknown("path=", path, PATHS)
    if rows >= count:
        raise UserError(f"rows={rows} paths join rows + 1 samples: count={count} is too small.")
    ends, condition = origins(model, count, seed, condition)
    ends = ends[: rows + 1]
    points = PATHS[path](ends[:-1], ends[1:], steps).flatten(0, 1)  # (rows * steps, Z)
    images = images_of(model, points, condition, torch.arange(rows).repeat_interleave(steps))
    return panel(images, columns=steps), f"{rows} {path} paths of {steps} steps"


def arithmetic(model, count, seed, condition, base, minus, plus):
    """Three columns of samples, their means below them, and nine versions of base - minus + plus.

    A sample has its own conditions, a mean those of the first in its column, a result base's.
    """
    numbers = torch.tensor([base, minus, plus])
    if not 0 <= numbers.min() <= numbers.max() < count:
        raise UserError(f"base, minus and plus are numbers of samples, from 0 to {count - 1}.")
    drawn, condition = origins(model, count, seed, condition)
    chosen = drawn[numbers]  # (3, 3, Z)
    results = latent_paths.neighbourhood(latent_paths.arithmetic(*chosen))  # (9, Z)
    points = torch.cat([chosen.flatten(0, 1), chosen.mean(dim=1), results])
    conditions = torch.cat([numbers.flatten(), numbers[:, 0], numbers[0, :1].expand(9)])
    samples, means, results = images_of(model, points, condition, conditions).split([9, 3, 9])
    panels = []
    for column, mean, symbol in zip(samples.split(3), means.split(1), "-+=", strict=True):
        mean = panel(mean, columns=1)
        panels += [below(panel(column, columns=1), mean), sign(symbol, mean.shape[1])]
    figure = beside(*panels, panel(results, columns=3))
    return figure, "samples, their means, and base - minus + plus"


def neighbours(model, count, seed, condition, data, rows, k):
    """Each row: a sample, and the training images nearest to it, the nearest first."""
    check_pixels(data)
    samples = torch.cat([s.cpu() for s in draw(model, count, seed, condition)])
    shown = as_images(model, samples[:rows])
    distances, indices = nearest_neighbours.neighbours(
        data.denormalize(samples), images_in(data, "train"), k
    )
    source = data.source("test")
    if not len(source):
        raise UserError(f"{data.name} has no test images to compare the samples with.")
    test = source[keyed_permutation(len(source), "neighbours")[:MOST_HELD_OUT]]["image"]
    held_out, _ = nearest_neighbours.neighbours(test, images_in(data, "train"))
    share, z = nearest_neighbours.copying(distances[:, 0], held_out[:, 0])
    nearest = data.prepare_batch(data.source("train")[indices[:rows].flatten()], model)["image"]
    return (
        beside(panel(shown, columns=1), panel(as_images(model, nearest), columns=k)),
        f"{min(rows, count)} samples and their {k} nearest training images of {data.name}",
        f"In {share:.1%} of pairs the sample is nearer to its training image than the test image "
        f"is to its own (50% if new), Z_U = {z:.1f} (copied if below -3): {count} samples, "
        f"{len(test)} test images",
    )


def recover(model, count, seed, data, rows, iterations, restarts):
    """Each row: a training image, the image recovered for it, a test image, and that for it."""
    check_pixels(data)
    panels, errors, before = [], {}, {}
    for split in ("train", "test"):
        source = data.source(split)
        raw = source[keyed_permutation(len(source), seed, "recover")[:count]]
        batch = data.prepare_batch(raw, model)
        recovered, errors[split], before[split] = recovery(model, batch, seed, iterations, restarts)
        pairs = torch.stack([as_images(model, batch["image"]), recovered], dim=1)  # (N, 2, C, H, W)
        panels.append(panel(pairs[:rows].flatten(0, 1), columns=2))
    return (
        beside(*panels),
        "training images and their recoveries, test images and theirs",
        f"Median squared error {errors['train']:.4f} of training images, {errors['test']:.4f} of "
        f"test images, gap {1 - errors['train'] / errors['test']:.0%} (before the search "
        f"{before['train']:.4f} and {before['test']:.4f})",
    )


def recovery(model, batch, seed, iterations, restarts):
    """(uint8 images recovered for a batch, median error, that of the best unchanged starts)."""
    condition = {name: batch[name] for name in model.needs if name in batch}
    real = condition.pop("image")  # the rest are the conditions of these images
    search = {"restarts": restarts, "seed": seed, "condition": condition}
    _, before = inversion.recover(model, real, iterations=0, **search)
    points, errors = inversion.recover(model, real, iterations=iterations, **search)
    images = images_of(model, points, condition, torch.arange(len(points)))
    return images, errors.median().item(), before.median().item()


def origins(model, count, seed, condition):
    """The latents (count, Z) of the samples that `draw` yields, and the batch of their conditions.

    Those given; a model draws latents first of all, and then the labels that it was not given.
    """
    condition, drawn = condition or {}, {}
    names = {"latent": model.prior}
    if "label" in model.needs and hasattr(model, "draw_labels"):
        names["label"] = model.draw_labels
    for chunk, start in enumerate(range(0, count, CHUNK)):
        reseed(model.device, seed, chunk)
        for name, drawing in names.items():
            if name not in condition:
                drawn.setdefault(name, []).append(drawing(min(CHUNK, count - start)))
    conditions = condition | {name: torch.cat(chunks) for name, chunks in drawn.items()}
    return conditions["latent"], conditions


def check_pixels(data):
    """UserError for data whose images are no pixels of 0 to 255."""
    first = data.source("train")[torch.tensor([0])]["image"]
    if first.dtype != torch.uint8:
        raise UserError(f"{data.name} has no pixels to compare samples with, but {first.dtype}.")


def images_in(data, split):
    return (batch["image"] for batch in data.loader(split))
