"""Draw images: python -m zoo.sample checkpoint=wgan_digits count=64 mode=images"""

import inspect
from itertools import chain
from pathlib import Path

MODES = {  # and the settings that not all of them have
    "images": ("separate",),
    "interpolate": ("rows", "steps", "path"),
    "arithmetic": ("base", "minus", "plus"),
    "neighbours": ("rows", "data", "k"),
    "recover": ("rows", "data", "iterations", "restarts"),
    "complete": ("rows", "data"),
}


def sample(
    checkpoint: str,
    mode: str = "images",
    count: int = 64,
    seed: int = 0,
    label: int | None = None,
    caption: str | None = None,
    given: str | None = None,
    rows: int = 8,
    steps: int = 10,
    path: str = "spherical",
    base: tuple[int, int, int] = (0, 1, 2),
    minus: tuple[int, int, int] = (3, 4, 5),
    plus: tuple[int, int, int] = (6, 7, 8),
    data: dict | None = None,
    k: int = 5,
    iterations: int = 300,
    restarts: int = 4,
    out: str = "samples",
    separate: bool = False,
    device: str = "cpu",
):
    """Draws from a model and writes a picture as PNG; docs/latents.md shows one of each mode.

    checkpoint: name of a pretrained model, a run's folder, or a checkpoint file
    mode: images (a grid of samples), interpolate (between samples), arithmetic (with samples),
        neighbours (of samples in the training set), recover (latents of real images), complete
        (test images whose lower halves are hidden)
    count: number of samples; of real images in recover; complete has six of each row
    label: class to draw, for a conditional model
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
    """
    check_settings(dict(locals()))
    import torch

    from zoo import drawing, pictures, portraits
    from zoo.checkpoints import load_on
    from zoo.errors import UserError
    from zoo.images import grid_of, save_png
    from zoo.seeds import reseed

    model, out = load_on(checkpoint, device), out.removesuffix(".png")
    conditions = read_conditions(model, count, label, caption, given)
    if model.conditions and not conditions:
        conditions = drawing.conditions(model, prepared(checkpoint, data), count)
    if conditions:
        count = len(next(iter(conditions.values())))
    check_model(model, mode, conditions)
    samples, own = (model, count, seed, conditions), data_of(checkpoint)
    with model.evaluating():
        if separate:
            write_each(model, drawing.draw(*samples), getattr(own, "save", None), out)
            return
        match mode:
            case "images":
                drawn = torch.cat(list(drawing.draw(*samples))).cpu()
                shown = getattr(own, "picture", grid_of)(drawn), f"{count} samples"
                if hasattr(own, "save"):
                    own.save(drawn.flatten(), out)
            case "interpolate":
                shown = pictures.interpolate(*samples, rows, steps, path)
            case "arithmetic":
                shown = pictures.arithmetic(*samples, base, minus, plus)
            case "neighbours":
                shown = pictures.neighbours(*samples, images_of(checkpoint, data), rows, k)
            case "recover":
                real = images_of(checkpoint, data)
                shown = pictures.recover(model, count, seed, real, rows, iterations, restarts)
            case "complete":
                real = images_of(checkpoint, data)
                reseed(model.device, seed, "complete")
                picture = portraits.completions(model, real, rows).get("completions")
                if picture is None:
                    raise UserError(f"{real.name} has no test images to complete.")
                shown = picture, f"{rows} test images, their upper halves, and six wholes of each"
    picture, what, *findings = shown
    save_png(picture, f"{out}.png")
    print(f"{what} in {out}.png", *findings, sep="\n")


def write_each(model, chunks, save, folder):
    """save(sample, "<folder>/<number>") of each sample as soon as it is drawn; None is for PNG."""
    from zoo import pictures
    from zoo.errors import UserError
    from zoo.images import save_png

    if save is None:
        chunks = (pictures.as_images(model, chunk) for chunk in chunks)
    if Path(folder).is_dir() and any(Path(folder).iterdir()):
        raise UserError(f"out={folder} is not empty: its images would be mixed with these.")

    for number, sample in enumerate(sample for chunk in chunks for sample in chunk):
        path = f"{folder}/{number:06d}"
        save(sample, path) if save else save_png(sample, f"{path}.png")
    print(f"{number + 1} samples in {folder}/")


def check_settings(settings):
    """UserError for settings that are wrong, or not of the mode."""
    from zoo.errors import UserError, unknown

    mode = settings["mode"]
    if mode not in MODES:
        raise unknown("mode=", mode, MODES)
    for name in ("count", "rows"):
        if settings[name] < 1:
            raise UserError(f"{name}={settings[name]} must be at least 1.")
    parameters = inspect.signature(sample).parameters
    for name in chain.from_iterable(MODES.values()):
        if name not in MODES[mode] and settings[name] != parameters[name].default:
            raise UserError(
                f"{name} is no setting of mode={mode}, which has {', '.join(MODES[mode])}."
            )


def check_model(model, mode, conditions):
    """UserError for a mode that a model does not serve."""
    from zoo.errors import UserError

    exact = getattr(model, "likelihood", "") == "exact"
    if mode == "complete" and not (exact and "image" in model.needs):
        raise UserError(
            f"mode=complete needs a model of pixels in order, not {type(model).__name__}; audio is "
            "completed by given=FILE."
        )
    if mode == "recover" and "image" in model.conditions:
        raise UserError(f"mode=recover: {type(model).__name__} is given the images themselves.")
    if mode == "recover" and hasattr(model, "surprisal"):
        raise UserError(f"mode=recover: {type(model).__name__} draws pixel by pixel.")
    if mode in ("interpolate", "arithmetic", "recover") and not hasattr(model, "prior"):
        raise UserError(f"mode={mode} needs latents, and {type(model).__name__} has no prior.")
    if mode in ("recover", "complete") and conditions and not model.conditions:
        raise UserError(f"mode={mode} takes the conditions of the real images: give no others.")


def read_conditions(model, count, label, caption, given):
    """The batch of conditions for `sample`, or None; UserError if the model takes none."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from zoo.errors import UserError
    from zoo.text import to_ids

    if label is None and caption is None and given is None:
        return None
    try:
        conditions = load_file(given) if given else {}
    except (SafetensorError, OSError) as error:
        raise UserError(f"given={given} is no safetensors file: {error}") from error
    count = len(next(iter(conditions.values()), range(count)))
    if label is not None:
        conditions["label"] = torch.full((count,), label)
    if caption is not None:
        conditions["text"] = to_ids(caption).expand(count, -1)
    known = list(model.needs)
    known += ["latent"] if hasattr(model, "prior") else []
    known += ["mask"] if hasattr(model, "surprisal") or hasattr(model, "fill") else []
    check_given(model, conditions, known)
    return {name: values.to(model.device) for name, values in conditions.items()}


def check_given(model, conditions, known):
    """UserError for conditions that a model does not take, or that do not fit each other."""
    from zoo.errors import UserError

    unknown = [name for name in conditions if name not in known]
    if unknown:
        raise UserError(
            f"{type(model).__name__} takes no {unknown[0]}: it is trained on "
            f"{', '.join(model.needs)}."
        )
    completed = [key for key in ("image", "audio") if key in conditions]
    if getattr(model, "likelihood", "") == "exact" and completed and "mask" not in conditions:
        raise UserError(f"given: {completed[0]} needs a mask, 1 where it is to be drawn.")
    lengths = {name: len(values) for name, values in conditions.items()}
    if len(set(lengths.values())) > 1:
        raise UserError(f"given: as many of each are needed, not {lengths}.")
    classes = model.hparams.get("classes")
    if "label" in conditions and classes:
        lowest, highest = conditions["label"].aminmax()
        if not 0 <= lowest <= highest < classes:
            raise UserError(
                f"label={highest if lowest >= 0 else lowest}: the model has the classes 0 to "
                f"{classes - 1}."
            )


def data_of(checkpoint):
    """A checkpoint's data, which draw its samples; None where it does not say them."""
    from zoo.checkpoints import load_data
    from zoo.errors import UserError

    try:
        return load_data(checkpoint)
    except UserError:
        return None


def prepared(checkpoint, data):
    """The datamodule described, or else a checkpoint's own, ready to be read."""
    from zoo.checkpoints import load_data

    module = load_data(checkpoint, data)
    module.prepare_data()
    return module


def images_of(checkpoint, data):
    """The same; UserError if it has no images."""
    from zoo.errors import UserError

    images = prepared(checkpoint, data)
    if "image" not in images.provides:
        raise UserError(f"{images.name} has no images: it provides {', '.join(images.provides)}.")
    return images


if __name__ == "__main__":
    from zoo.cli import main

    main(sample)
