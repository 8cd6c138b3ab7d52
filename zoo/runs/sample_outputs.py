"""What `python -m zoo.sample` writes: figures, images and sound of a model's samples."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from zoo.config.errors import UserError
from zoo.engine.conditions import conditions_of
from zoo.engine.sampling import draw
from zoo.engine.seeds import reseed
from zoo.media.images import grid_of, save_png
from zoo.plots import sample_modes
from zoo.plots.completions import completions
from zoo.plots.grids import as_images, numbered_grid
from zoo.runs.checkpoints import load_data, load_model
from zoo.runs.launch import single_device
from zoo.runs.loaded_checkpoint import LoadedCheckpoint, read
from zoo.runs.requested_conditions import (
    check_accepted,
    number_of,
    read_conditions,
    warn_of_unknown_words,
)

Samples = tuple[Any, int, int, dict[str, torch.Tensor] | None]  # model, count, seed, conditions


def draw_and_write(args: SimpleNamespace) -> None:
    """Draw samples by the arguments of `sample`, and write them."""
    device = single_device(args.accelerator, args.threads)
    checkpoint = args.checkpoint = read(args.checkpoint)  # once for the model and its data
    model, count, label = load_model(checkpoint).to(device), args.count, args.label
    if label is not None:
        check_accepted(model, {"label": torch.tensor([0])})  # before its name is looked up
        label = number_of(label, checkpoint.class_names)
    conditions = read_conditions(model, count, label, args.caption, args.condition)
    if model.conditions and not conditions:
        conditions = conditions_of(model, prepared(checkpoint, args.data), count)
    if conditions:
        count = len(next(iter(conditions.values())))
    check_model(model, args.mode, conditions)
    samples, own = (model, count, args.seed, conditions), data_of(checkpoint)
    if args.caption is not None:
        warn_of_unknown_words(args.caption, own)
    out = args.out.removesuffix(".png")
    with model.evaluating():
        if args.separate:
            write_each(samples, own, out, args)
        else:
            write_figure(samples, own, out, args)


def write_figure(samples: Samples, own: Any, out: str, args: SimpleNamespace) -> None:
    """Write the figure of a mode, and print what it shows.

    Args:
        samples: (model, count, seed, conditions).
        own: The data that the model was trained on, or None.
        out: Path of the figure without .png.
        args: The arguments of `sample`.
    """
    figure, what, *findings = figure_of_mode(samples, own, out, args)
    save_png(figure, f"{out}.png")
    print(f"{what} in {out}.png", *findings, sep="\n")


def figure_of_mode(samples: Samples, own: Any, out: str, args: SimpleNamespace) -> tuple[Any, ...]:
    """Return (figure uint8 (3, H, W), what it shows, *findings). See `write_figure`."""
    (model, count, seed, _), real = samples, partial(images_of, args.checkpoint, args.data)
    match args.mode:
        case "images":
            images = torch.cat(list(sample_batches(samples, args))).cpu()
            if hasattr(own, "save"):
                own.save(images.flatten(), out)
            draw_figure = getattr(own, "figure", grid_of)
            if args.numbers:
                images, draw_figure = as_images(model, images), numbered_grid
            return draw_figure(images), f"{len(images)} samples"
        case "interpolate":
            return sample_modes.interpolate(*samples, args.rows, args.path_points, args.path)
        case "arithmetic":
            return sample_modes.arithmetic(*samples, args.base, args.minus, args.plus)
        case "neighbors":
            return sample_modes.neighbors(*samples, real(), args.rows, args.k)
        case "recover":
            search = args.iterations, args.restarts
            return sample_modes.recover(model, count, seed, real(), args.rows, *search)
        case _:
            return complete(model, seed, real(), args.rows)


def complete(model: Any, seed: int, data: Any, rows: int) -> tuple[Any, ...]:
    """Return (figure, what it shows) of test images whose lower halves the model completes.

    Args:
        model: The model.
        seed: Seed of the completions.
        data: The data module.
        rows: Number of test images.

    Raises:
        UserError: The data have no test images.
    """
    reseed(model.device, seed, "complete")
    figure = completions(model, data, rows).get("completions")
    if figure is None:
        raise UserError(f"{data.name} has no test images to complete.")
    return figure, f"{rows} test images, their upper halves, and six completions of each"


def sample_batches(samples: Samples, args: SimpleNamespace) -> Iterator[torch.Tensor]:
    """Yield the samples in batches, with the settings of `sample`."""
    return draw(*samples, batch_size=args.batch_size, truncation=args.truncation)


def write_each(samples: Samples, own: Any, folder: str, args: SimpleNamespace) -> None:
    """Write each sample as <folder>/<number> as soon as it is drawn.

    Args:
        samples: (model, count, seed, conditions).
        own: The data that the model was trained on, which may define the file format; or None.
        folder: A new or empty folder.
        args: The arguments of `sample`.

    Raises:
        UserError: The folder is not empty.
    """
    if Path(folder).is_dir() and any(Path(folder).iterdir()):
        raise UserError(f"out={folder} is not empty: its images would be mixed with these.")
    chunks, save = sample_batches(samples, args), getattr(own, "save", None)
    if save is None:
        chunks = (as_images(samples[0], chunk) for chunk in chunks)
    for number, item in enumerate(item for chunk in chunks for item in chunk):
        path = f"{folder}/{number:06d}"
        save(item, path) if save else save_png(item, f"{path}.png")
    print(f"{number + 1} samples in {folder}/")


def check_model(model: Any, mode: str, conditions: dict | None) -> None:
    """Check that a model supports a mode.

    Args:
        model: The model.
        mode: One of zoo.sample.MODES.
        conditions: The requested conditions, if any.

    Raises:
        UserError: It does not.
    """
    name, exact = type(model).__name__, getattr(model, "likelihood_kind", "") == "exact"
    if mode == "complete" and not (exact and "image" in model.needs):
        raise UserError(
            f"mode=complete needs a model that samples pixel by pixel, not {name}; condition=FILE "
            "completes audio."
        )
    if mode == "recover" and "image" in model.conditions:
        raise UserError(f"mode=recover: {name} is conditioned on the images themselves.")
    if mode == "recover" and hasattr(model, "elementwise_nll"):
        raise UserError(f"mode=recover: {name} samples pixel by pixel, without latents.")
    if mode in ("interpolate", "arithmetic", "recover") and not hasattr(model, "prior"):
        raise UserError(f"mode={mode} needs latents, and {name} has no prior.")
    if mode in ("recover", "complete") and conditions and not model.conditions:
        raise UserError(f"mode={mode} uses the conditions of the real images: leave out others.")


def data_of(checkpoint: LoadedCheckpoint) -> Any:
    """Return the data module of a checkpoint, which formats its samples; None if it names none."""
    try:
        return load_data(checkpoint)
    except UserError:
        return None


def prepared(checkpoint: LoadedCheckpoint, data: dict | None) -> Any:
    """Return the chosen data module, or else that of a checkpoint, with its files prepared."""
    module = load_data(checkpoint, data)
    module.prepare_data()
    return module


def images_of(checkpoint: LoadedCheckpoint, data: dict | None) -> Any:
    """Return the data module like `prepared`.

    Raises:
        UserError: It has no images.
    """
    images = prepared(checkpoint, data)
    if "image" not in images.provides:
        raise UserError(f"{images.name} has no images: it provides {', '.join(images.provides)}.")
    return images
