"""Draw images: python -m zoo.sample checkpoint=wgan_digits count=64 mode=images"""

import inspect
from functools import partial
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

from zoo.config.ranges import in_range

MODES = {  # and the settings that not all of them have
    "images": ("separate",),
    "interpolate": ("rows", "steps", "path"),
    "arithmetic": ("base", "minus", "plus"),
    "neighbours": ("rows", "data", "k"),
    "recover": ("rows", "data", "iterations", "restarts"),
    "complete": ("rows", "data"),
}


@in_range
def sample(
    checkpoint: str,
    mode: str = "images",
    count: int = 64,
    seed: int = 0,
    label: Annotated[int, "(-inf, inf)"] | str | None = None,
    caption: str | None = None,
    condition: str | None = None,
    rows: Annotated[int, "[1, 1000]"] = 8,
    steps: Annotated[int, "[2, 1000]"] = 10,
    path: str = "spherical",
    base: Annotated[tuple[int, int, int], "[0, 100000000]"] = (0, 1, 2),
    minus: Annotated[tuple[int, int, int], "[0, 100000000]"] = (3, 4, 5),
    plus: Annotated[tuple[int, int, int], "[0, 100000000]"] = (6, 7, 8),
    data: dict | None = None,
    k: Annotated[int, "[1, 1000]"] = 5,
    iterations: Annotated[int, "[1, 1000000]"] = 300,
    restarts: Annotated[int, "[1, 1000]"] = 4,
    out: str = "samples",
    separate: bool = False,
    device: str = "cpu",
    trust: str | tuple[str, ...] = (),
):
    """Draws from a model and writes a picture as PNG; docs/latents.md shows one of each mode.

    checkpoint: name of a pretrained model, a run's folder, or a checkpoint file
    mode: images (a grid of samples), interpolate (between samples), arithmetic (with samples),
        neighbours (of samples in the training set), recover (latents of real images), complete
        (test images whose lower halves are hidden)
    count: number of samples; of real images in recover; complete has six of each row
    label: class to draw, by its name or its number, for a conditional model
    caption: what to draw, for a model of text
    given: safetensors file that holds a batch of conditions, or `latent`, or, for a model that
        completes, `image` or `audio` and `mask`, 1 where it is hidden (`count` is its length)
    rows: rows of the picture (interpolate, neighbours, recover, complete)
    steps, path: images in a row, along a spherical or linear path (interpolate)
    base, minus, plus: three samples each, by their numbers in the grid, from 0 (arithmetic)
    data: the real images, data=NAME data.KEY=VALUE; by default the model's (neighbours, recover,
        complete)
    k: nearest images of each sample (neighbours)
    iterations, restarts: length and number of the searches (recover)
    out: <out>.png is the picture; with mode=images separate=true, <out>/ gets one file an image.
        Audio is written, too: <out>.wav, one sample after the other, or <out>/ with one file each
    trust: a package, or [A,B], whose classes the checkpoint may name; see docs/security.md
    """
    said = SimpleNamespace(**locals())
    check_settings(said)
    from zoo.config.trust import trusting

    with trusting(trust):
        draw_and_write(said)


def draw_and_write(said):
    """Does what the settings `said` name."""
    from zoo.engine.conditions import conditions_of
    from zoo.runs.checkpoints import class_names, load_on
    from zoo.runs.requested_conditions import number_of, read_conditions

    model, count, label = load_on(said.checkpoint, said.device), said.count, said.label
    label = label if label is None else number_of(label, class_names(said.checkpoint))
    conditions = read_conditions(model, count, label, said.caption, said.condition)
    if model.conditions and not conditions:
        conditions = conditions_of(model, prepared(said.checkpoint, said.data), count)
    if conditions:
        count = len(next(iter(conditions.values())))
    check_model(model, said.mode, conditions)
    samples, own = (model, count, said.seed, conditions), data_of(said.checkpoint)
    out = said.out.removesuffix(".png")
    with model.evaluating():
        if said.separate:
            write_each(samples, own, out)
        else:
            write_picture(samples, own, out, said)


def write_picture(samples, own, out, said):
    """The picture of the mode that is `said`, and what it shows; own: the model's data, or None."""
    from zoo.media.images import save_png

    figure, what, *findings = shown(samples, own, out, said)
    save_png(figure, f"{out}.png")
    print(f"{what} in {out}.png", *findings, sep="\n")


def shown(samples, own, out, said):
    """(uint8 (3, H, W), what it is, *findings); samples: (model, count, seed, conditions)."""
    import torch

    from zoo.engine.sampling import draw
    from zoo.media.images import grid_of
    from zoo.plots import sample_modes

    (model, count, seed, _), real = samples, partial(images_of, said.checkpoint, said.data)
    match said.mode:
        case "images":
            drawn = torch.cat(list(draw(*samples))).cpu()
            if hasattr(own, "save"):
                own.save(drawn.flatten(), out)
            return getattr(own, "figure", grid_of)(drawn), f"{len(drawn)} samples"
        case "interpolate":
            return sample_modes.interpolate(*samples, said.rows, said.steps, said.path)
        case "arithmetic":
            return sample_modes.arithmetic(*samples, said.base, said.minus, said.plus)
        case "neighbours":
            return sample_modes.neighbours(*samples, real(), said.rows, said.k)
        case "recover":
            search = said.iterations, said.restarts
            return sample_modes.recover(model, count, seed, real(), said.rows, *search)
        case "complete":
            return completed(model, seed, real(), said.rows)


def completed(model, seed, data, rows):
    """(uint8 (3, H, W), what it is) of test images whose lower halves are drawn; or UserError."""
    from zoo.config.errors import UserError
    from zoo.engine.seeds import reseed
    from zoo.plots.completions import completions

    reseed(model.device, seed, "complete")
    figure = completions(model, data, rows).get("completions")
    if figure is None:
        raise UserError(f"{data.name} has no test images to complete.")
    return figure, f"{rows} test images, their upper halves, and six wholes of each"


def write_each(samples, own, folder):
    """Each sample as <folder>/<number>, as soon as it is drawn: as its data save them, or PNG."""
    from zoo.config.errors import UserError
    from zoo.engine.sampling import draw
    from zoo.media.images import save_png
    from zoo.plots.grids import as_images

    if Path(folder).is_dir() and any(Path(folder).iterdir()):
        raise UserError(f"out={folder} is not empty: its images would be mixed with these.")
    chunks, save = draw(*samples), getattr(own, "save", None)
    if save is None:
        chunks = (as_images(samples[0], chunk) for chunk in chunks)
    for number, sample in enumerate(sample for chunk in chunks for sample in chunk):
        path = f"{folder}/{number:06d}"
        save(sample, path) if save else save_png(sample, f"{path}.png")
    print(f"{number + 1} samples in {folder}/")


def check_settings(said):
    """UserError for settings that are wrong, or not of the mode."""
    from zoo.config.errors import UserError, unknown

    mode = said.mode
    if mode not in MODES:
        raise unknown("mode=", mode, MODES)
    parameters = inspect.signature(sample).parameters
    for name in chain.from_iterable(MODES.values()):
        if name not in MODES[mode] and getattr(said, name) != parameters[name].default:
            raise UserError(
                f"{name} is no setting of mode={mode}, which has {', '.join(MODES[mode])}."
            )


def check_model(model, mode, conditions):
    """UserError for a mode that a model does not serve."""
    from zoo.config.errors import UserError

    exact = getattr(model, "likelihood_kind", "") == "exact"
    if mode == "complete" and not (exact and "image" in model.needs):
        raise UserError(
            f"mode=complete needs a model of pixels in order, not {type(model).__name__}; audio is "
            "completed by condition=FILE."
        )
    if mode == "recover" and "image" in model.conditions:
        raise UserError(f"mode=recover: {type(model).__name__} is given the images themselves.")
    if mode == "recover" and hasattr(model, "elementwise_nll"):
        raise UserError(f"mode=recover: {type(model).__name__} draws pixel by pixel.")
    if mode in ("interpolate", "arithmetic", "recover") and not hasattr(model, "prior"):
        raise UserError(f"mode={mode} needs latents, and {type(model).__name__} has no prior.")
    if mode in ("recover", "complete") and conditions and not model.conditions:
        raise UserError(f"mode={mode} takes the conditions of the real images: give no others.")


def data_of(checkpoint):
    """A checkpoint's data, which draw its samples; None where it does not say them."""
    from zoo.config.errors import UserError
    from zoo.runs.checkpoints import load_data

    try:
        return load_data(checkpoint)
    except UserError:
        return None


def prepared(checkpoint, data):
    """The datamodule described, or else a checkpoint's own, ready to be read."""
    from zoo.runs.checkpoints import load_data

    module = load_data(checkpoint, data)
    module.prepare_data()
    return module


def images_of(checkpoint, data):
    """The same; UserError if it has no images."""
    from zoo.config.errors import UserError

    images = prepared(checkpoint, data)
    if "image" not in images.provides:
        raise UserError(f"{images.name} has no images: it provides {', '.join(images.provides)}.")
    return images


if __name__ == "__main__":
    from zoo.config.cli import main

    main(sample)
