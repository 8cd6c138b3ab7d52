"""What `python -m zoo.sample mode=...` shows: (picture, what is in it, findings ...).

A picture is uint8 (3, H, W). Samples have the numbers 0, 1, 2, ... of their places in the grid of
mode=images with the same count and seed, from left to right and from above.
"""

import torch
from torch.nn.functional import pad

from datamodules.loader import shuffled
from zoo import inversion, latents
from zoo.drawing import CHUNK, draw
from zoo.errors import UserError, unknown
from zoo.images import grid, to_uint8
from zoo.seeds import reseed

MOST_HELD_OUT = 1000  # test images that samples are compared with, a fixed choice
PATHS = {"linear": latents.linear, "spherical": latents.spherical}


def interpolate(model, count, seed, given, rows, steps, path):
    """Row r leads from sample r to sample r + 1, under the conditions of sample r."""
    if path not in PATHS:
        raise unknown("path=", path, PATHS)
    if rows >= count:
        raise UserError(f"rows={rows} paths join rows + 1 samples: count={count} is too small.")
    ends, given = origins(model, count, seed, given)
    ends = ends[: rows + 1]
    points = PATHS[path](ends[:-1], ends[1:], steps).flatten(0, 1)  # (rows * steps, Z)
    images = images_of(model, points, given, torch.arange(rows).repeat_interleave(steps))
    return panel(images, columns=steps), f"{rows} {path} paths of {steps} steps"


def arithmetic(model, count, seed, given, base, minus, plus):
    """Three columns of samples, their means below them, and nine versions of base - minus + plus.

    A sample has its own conditions, a mean those of the first in its column, a result base's.
    """
    numbers = torch.tensor([base, minus, plus])
    if not 0 <= numbers.min() <= numbers.max() < count:
        raise UserError(f"base, minus and plus are numbers of samples, from 0 to {count - 1}.")
    drawn, given = origins(model, count, seed, given)
    chosen = drawn[numbers]  # (3, 3, Z)
    results = latents.neighbourhood(latents.arithmetic(*chosen))  # (9, Z)
    points = torch.cat([chosen.flatten(0, 1), chosen.mean(dim=1), results])
    conditions = torch.cat([numbers.flatten(), numbers[:, 0], numbers[0, :1].expand(9)])
    samples, means, results = images_of(model, points, given, conditions).split([9, 3, 9])
    panels = []
    for column, mean, symbol in zip(samples.split(3), means.split(1), "-+=", strict=True):
        mean = panel(mean, columns=1)
        panels += [below(panel(column, columns=1), mean), sign(symbol, mean.shape[1])]
    picture = beside(*panels, panel(results, columns=3))
    return picture, "samples, their means, and base - minus + plus"


def neighbours(model, count, seed, given, data, rows, k):
    """Each row: a sample, and the training images nearest to it, the nearest first."""
    check_pixels(data)
    samples = torch.cat([s.cpu() for s in draw(model, count, seed, given)])
    shown = as_images(model, samples[:rows])
    distances, indices = latents.neighbours(data.raw(samples), images_in(data, "train"), k)
    source = data.source("test")
    if not len(source):
        raise UserError(f"{data.name} has no test images to compare the samples with.")
    test = source[shuffled(len(source), "neighbours")[:MOST_HELD_OUT]]["image"]
    held_out, _ = latents.neighbours(test, images_in(data, "train"))
    share, z = latents.copying(distances[:, 0], held_out[:, 0])
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
        raw = source[shuffled(len(source), seed, "recover")[:count]]
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
    given = {name: batch[name] for name in model.needs if name in batch}
    real = given.pop("image")  # the rest are the conditions of these images
    search = {"restarts": restarts, "seed": seed, "given": given}
    _, before = inversion.recover(model, real, iterations=0, **search)
    points, errors = inversion.recover(model, real, iterations=iterations, **search)
    images = images_of(model, points, given, torch.arange(len(points)))
    return images, errors.median().item(), before.median().item()


def origins(model, count, seed, given):
    """The latents (count, Z) of the samples that `draw` yields, and the batch of their conditions.

    Those given; a model draws latents first of all, and then the labels that it was not given.
    """
    given, drawn = given or {}, {}
    names = {"latent": model.prior}
    if "label" in model.needs and hasattr(model, "labels"):
        names["label"] = model.labels
    for chunk, start in enumerate(range(0, count, CHUNK)):
        reseed(model.device, seed, chunk)
        for name, drawing in names.items():
            if name not in given:
                drawn.setdefault(name, []).append(drawing(min(CHUNK, count - start)))
    conditions = given | {name: torch.cat(chunks) for name, chunks in drawn.items()}
    return conditions["latent"], conditions


def images_of(model, points, given, numbers):
    """Images of latents (N, Z), each under the conditions with its number."""
    conditions = {name: values[numbers] for name, values in given.items()}
    return as_images(model, model.sample(len(points), conditions | {"latent": points}))


def as_images(model, samples):
    """uint8 images (N, C, H, W) on the CPU; UserError if the samples are something else."""
    if samples.dim() != 4 or samples.shape[1] not in (1, 3):
        raise UserError(
            f"{type(model).__name__} makes no images, but samples of {tuple(samples.shape[1:])}: "
            "only the one picture of mode=images shows them."
        )
    return to_uint8(samples).cpu()


def check_pixels(data):
    """UserError for data whose images are no pixels of 0 to 255."""
    first = data.source("train")[torch.tensor([0])]["image"]
    if first.dtype != torch.uint8:
        raise UserError(f"{data.name} has no pixels to compare samples with, but {first.dtype}.")


def images_in(data, split):
    return (batch["image"] for batch in data.loader(split))


def panel(images, columns):
    """uint8 images (N, C, H, W), N a multiple of columns, apart from each other on white."""
    cells = [pad(grid(image[None]), (2, 2, 2, 2), value=255) for image in images]
    rows = [torch.cat(cells[i : i + columns], dim=2) for i in range(0, len(cells), columns)]
    return torch.cat(rows, dim=1)


def beside(*panels):
    """Panels (3, H, W) from left to right on white, their lower edges in line."""
    height = max(panel.shape[1] for panel in panels)
    spaced = [pad(panel, (6, 6, height - panel.shape[1], 0), value=255) for panel in panels]
    return torch.cat(spaced, dim=2)


def below(upper, lower):
    """Two panels of the same width, one below the other, with white between them."""
    return torch.cat([pad(upper, (0, 0, 0, 16), value=255), lower], dim=1)


def sign(symbol, side):
    """One of - + = in black on white, uint8 (3, side, side / 2)."""
    picture = torch.full((3, side, side // 2), 255, dtype=torch.uint8)
    middle, width = side // 2, max(side // 24, 1)
    offsets = {"-": [0], "+": [0], "=": [-3 * width, 3 * width]}[symbol]
    for y in (middle + offset for offset in offsets):
        picture[:, y - width : y + width, side // 8 : -(side // 8)] = 0
    if symbol == "+":
        x, reach = side // 4, side // 4 - side // 8
        picture[:, middle - reach : middle + reach, x - width : x + width] = 0
    return picture
