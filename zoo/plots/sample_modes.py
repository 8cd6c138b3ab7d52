"""The figures of `python -m zoo.sample mode=...`.

Each function returns (figure uint8 (3, H, W), what it shows, *findings). Samples are numbered 0, 1,
2, ... by their places in the grid of mode=images with the same count and seed, row by row from the
upper left; numbers=true draws the numbers.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoo.config.errors import UserError, unknown
from zoo.engine import inversion
from zoo.engine.sampling import draw, latents_of_samples
from zoo.engine.seeds import keyed_permutation
from zoo.media.images import grid
from zoo.metrics import nearest_neighbors
from zoo.plots import latent_paths
from zoo.plots.grids import as_images, below, beside, images_of_latents, sign, with_heads

PATHS = {"linear": latent_paths.linear, "spherical": latent_paths.spherical}
Conditions = dict[str, Tensor] | None


def interpolate(
    model: Any, count: int, seed: int, condition: Conditions, rows: int, path_points: int, path: str
) -> tuple[Tensor, str]:
    """Draw paths: row r leads from sample r to sample r + 1, under the conditions of sample r.

    Args:
        model: A model with latents.
        count: Number of samples.
        seed: Seed of the samples.
        condition: Conditions of the samples, or None.
        rows: Number of paths, less than `count`.
        path_points: Number of images per path.
        path: A name in PATHS.

    Raises:
        UserError: The path is unknown, or there are too few samples.
    """
    if path not in PATHS:
        raise unknown("path=", path, PATHS)
    if rows >= count:
        raise UserError(f"rows={rows} paths connect rows + 1 samples: count={count} is too small.")
    ends, condition = latents_of_samples(model, count, seed, condition)
    ends = ends[: rows + 1]
    points = PATHS[path](ends[:-1], ends[1:], path_points).flatten(0, 1)  # (rows * path_points, Z)
    numbers = torch.arange(rows).repeat_interleave(path_points)
    images = images_of_latents(model, points, condition, numbers)
    return grid(images, columns=path_points), f"{rows} {path} paths of {path_points} images"


def arithmetic(
    model: Any,
    count: int,
    seed: int,
    condition: Conditions,
    base: tuple[int, ...],
    minus: tuple[int, ...],
    plus: tuple[int, ...],
) -> tuple[Tensor, str]:
    """Draw three columns of samples, their means below, and nine images of base - minus + plus.

    A sample has its own conditions, a mean those of the first sample in its column, and a result
    those of the first base sample.

    Args:
        model: A model with latents.
        count: Number of samples.
        seed: Seed of the samples.
        condition: Conditions of the samples, or None.
        base: The numbers of three samples.
        minus: The numbers of three samples.
        plus: The numbers of three samples.

    Raises:
        UserError: A number is not below `count`.
    """
    numbers = torch.tensor([base, minus, plus])
    if not 0 <= numbers.min() <= numbers.max() < count:
        raise UserError(f"base, minus and plus are numbers of samples, from 0 to {count - 1}.")
    latents, condition = latents_of_samples(model, count, seed, condition)
    chosen = latents[numbers]  # (3, 3, Z)
    results = latent_paths.neighborhood(latent_paths.arithmetic(*chosen))  # (9, Z)
    points = torch.cat([chosen.flatten(0, 1), chosen.mean(dim=1), results])
    conditions = torch.cat([numbers.flatten(), numbers[:, 0], numbers[0, :1].expand(9)])
    images = images_of_latents(model, points, condition, conditions)
    samples, means, results = images.split([9, 3, 9])
    figures = []
    columns = zip(("base", "minus", "plus"), samples.split(3), means.split(1), "-+=", strict=True)
    for head, column, mean, symbol in columns:
        mean = grid(mean, columns=1)
        samples_figure = with_heads(grid(column, columns=1), [(head, 1)])
        figures += [below(samples_figure, mean), sign(symbol, mean.shape[1])]
    results_figure = with_heads(grid(results, columns=3), [("result", 3)])
    return beside(*figures, results_figure), "samples, their means, and base - minus + plus"


def neighbors(
    model: Any, count: int, seed: int, condition: Conditions, data: Any, rows: int, k: int
) -> tuple[Tensor, str, str]:
    """Draw samples, each beside its nearest training images, and test whether samples are copies.

    Args:
        model: The model.
        count: Number of samples.
        seed: Seed of the samples.
        condition: Conditions of the samples, or None.
        data: The data module.
        rows: Number of samples to draw.
        k: Number of training images beside each, the nearest first.

    Raises:
        UserError: The data are not pixels, or have no test images.
    """
    check_pixels(data)
    samples = torch.cat([chunk.cpu() for chunk in draw(model, count, seed, condition)])
    sample_images = as_images(model, samples[:rows])
    distances, indices = nearest_neighbors.neighbors(
        data.denormalize(samples), images_in(data, "train"), k
    )
    source = source_with_images(data, "test")
    test = nearest_neighbors.held_out_images(source)
    held_out, _ = nearest_neighbors.neighbors(test, images_in(data, "train"))
    share, z = nearest_neighbors.copying(distances[:, 0], held_out[:, 0])
    nearest = data.prepare_batch(data.source("train")[indices[:rows].flatten()], model)["image"]
    figures = grid(sample_images, columns=1), grid(as_images(model, nearest), columns=k)
    return (
        beside(
            with_heads(figures[0], [("sample", 1)]),
            with_heads(figures[1], [("nearest training images", k)]),
        ),
        f"{min(rows, count)} samples and their {k} nearest training images of {data.name}",
        f"In {share:.1%} of pairs the sample is nearer to its training image than the test image "
        f"is to its own (50% if new), Z_U = {z:.1f} (copied if below -3): {count} samples, "
        f"{len(test)} test images",
    )


def recover(
    model: Any, count: int, seed: int, data: Any, rows: int, iterations: int, restarts: int
) -> tuple[Tensor, str, str]:
    """Draw training and test images, and the images of the latents that a search finds for them.

    Args:
        model: A model with latents.
        count: Number of training and of test images.
        seed: Seed of their selection and of the search.
        data: The data module.
        rows: Number of images to draw of each.
        iterations: Iterations of the search.
        restarts: Starting points of the search.

    Raises:
        UserError: The data are not pixels, or have no test images.
    """
    check_pixels(data)
    figures, errors, before = [], {}, {}
    for split, head in (("train", "training image"), ("test", "test image")):
        source = source_with_images(data, split)
        raw = source[keyed_permutation(len(source), seed, "recover")[:count]]
        batch = data.prepare_batch(raw, model)
        recovered, errors[split], before[split] = recovery(model, batch, seed, iterations, restarts)
        pairs = torch.stack([as_images(model, batch["image"]), recovered], dim=1)  # (N, 2, C, H, W)
        figure = grid(pairs[:rows].flatten(0, 1), columns=2)
        figures.append(with_heads(figure, [(head, 1), ("recovered", 1)]))
    gap = f", gap {1 - errors['train'] / errors['test']:.0%}" if errors["test"] else ""
    return (
        beside(*figures),
        "training images and their recoveries, test images and theirs",
        f"Median squared error {errors['train']:.4f} of training images, {errors['test']:.4f} of "
        f"test images{gap} (before the search {before['train']:.4f} and {before['test']:.4f})",
    )


def recovery(
    model: Any, batch: dict[str, Tensor], seed: int, iterations: int, restarts: int
) -> tuple[Tensor, float, float]:
    """Search for the latents of a batch's images. See zoo.engine.inversion.

    Returns:
        The recovered uint8 images (N, C, H, W), the median squared error, and that of the best
        starting points.
    """
    real, names = batch["image"], {*model.needs} - {"image", *model.latent_conditions}
    condition = {name: batch[name] for name in names if name in batch}
    search = partial(inversion.recover, restarts=restarts, seed=seed, condition=condition)
    _, before = search(model, real, iterations=0)
    points, errors = search(model, real, iterations=iterations)
    images = images_of_latents(model, points, condition, torch.arange(len(points)))
    return images, errors.median().item(), before.median().item()


def check_pixels(data: Any) -> None:
    """Raise UserError for data whose images are not pixels of 0 to 255."""
    first = data.source("train")[torch.tensor([0])]["image"]
    if first.dtype != torch.uint8:
        raise UserError(f"{data.name} has {first.dtype} images, but this mode needs uint8.")


def source_with_images(data: Any, split: str) -> Any:
    """Return the samples of a split.

    Raises:
        UserError: There are none.
    """
    source = data.source(split)
    if not len(source):
        raise UserError(f"{data.name} has no {split} images, which this mode needs.")
    return source


def images_in(data: Any, split: str) -> Iterator[Tensor]:
    """Yield the raw images of a split in batches."""
    return (batch["image"] for batch in data.loader(split))
