"""Draw images: python -m zoo.sample checkpoint=wgan_digits count=64 mode=images"""

import inspect
from functools import partial
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

from zoo.config.ranges import in_range

MODES = {  # with the settings that not all of them have
    "images": ("separate", "batch_size"),
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
    batch_size: int = 100,
    accelerator: str = "auto",
    threads: int | None = None,
    trust: str | tuple[str, ...] = (),
) -> None:
    """Draw samples from a model and write a figure as PNG. docs/latents.md shows each mode.

    mode=images      a grid of samples
    mode=interpolate paths between samples
    mode=arithmetic  sums and differences of samples
    mode=neighbours  samples beside their nearest training images
    mode=recover     real images beside the nearest images that the model can make
    mode=complete    test images whose lower halves are hidden, beside completions

    Args:
        checkpoint: Name of a pretrained model, a run's folder, or a checkpoint file.
        mode: One of the modes above.
        count: Number of samples; in recover, of real images. In complete, each row has six.
        seed: Seed of the samples.
        label: Class to draw, by its name or number, for a class-conditional model.
        caption: What to draw, for a model of text.
        condition: Safetensors file with a batch of conditions, or with `latent`. For a model that
            completes, with `image` or `audio` and `mask`, 1 where it is hidden. `count` is its
            length.
        rows: Rows of the figure (interpolate, neighbours, recover, complete).
        steps: Images in a row (interpolate).
        path: linear or spherical (interpolate).
        base: Three samples to start from, by their numbers in the grid of mode=images, from 0
            (arithmetic).
        minus: Three samples to subtract (arithmetic).
        plus: Three samples to add (arithmetic).
        data: The real images, data=NAME data.KEY=VALUE; by default those the model was trained on
            (neighbours, recover, complete).
        k: Number of nearest images of each sample (neighbours).
        iterations: Length of each search (recover).
        restarts: Number of searches for each image (recover).
        out: The figure is <out>.png. With mode=images separate=true, <out>/ gets a file for each
            sample. Audio is also written as <out>.wav, all samples in a row, or as a file each.
        separate: Writes each sample to its own file (images).
        batch_size: Number of samples drawn at once. Another one gives other samples.
        accelerator: cpu, gpu, mps, or auto for what the machine has.
        threads: CPU threads; by default torch's own choice.
        trust: A package, or [A,B], whose classes the checkpoint may name (docs/security.md).
    """
    args = SimpleNamespace(**locals())
    check_settings(args)
    from zoo.config.trust import trusting

    with trusting(trust):
        draw_and_write(args)


def draw_and_write(args: SimpleNamespace) -> None:
    """Draw what the arguments of `sample` ask for, and write it."""
    from zoo.engine.conditions import conditions_of
    from zoo.runs.checkpoints import load_model
    from zoo.runs.launch import single_device
    from zoo.runs.loaded_checkpoint import read
    from zoo.runs.requested_conditions import number_of, read_conditions

    device = single_device(args.accelerator, args.threads)
    checkpoint = args.checkpoint = read(args.checkpoint)  # once for the model and its data
    model, count, label = load_model(checkpoint).to(device), args.count, args.label
    label = label if label is None else number_of(label, checkpoint.class_names)
    conditions = read_conditions(model, count, label, args.caption, args.condition)
    if model.conditions and not conditions:
        conditions = conditions_of(model, prepared(checkpoint, args.data), count)
    if conditions:
        count = len(next(iter(conditions.values())))
    check_model(model, args.mode, conditions)
    samples, own = (model, count, args.seed, conditions), data_of(checkpoint)
    out = args.out.removesuffix(".png")
    with model.evaluating():
        if args.separate:
            write_each(samples, own, out, args.batch_size)
        else:
            write_figure(samples, own, out, args)


def write_figure(samples: tuple, own: Any, out: str, args: SimpleNamespace) -> None:
    """Write the figure of a mode, and print what it shows.

    Args:
        samples: (model, count, seed, conditions).
        own: The data that the model was trained on, or None.
        out: Path of the figure without .png.
        args: The arguments of `sample`.
    """
    from zoo.media.images import save_png

    figure, what, *findings = figure_of_mode(samples, own, out, args)
    save_png(figure, f"{out}.png")
    print(f"{what} in {out}.png", *findings, sep="\n")


def figure_of_mode(samples: tuple, own: Any, out: str, args: SimpleNamespace) -> tuple:
    """Return (figure uint8 (3, H, W), what it shows, *findings). See `write_figure`."""
    import torch

    from zoo.engine.sampling import draw
    from zoo.media.images import grid_of
    from zoo.plots import sample_modes

    (model, count, seed, _), real = samples, partial(images_of, args.checkpoint, args.data)
    match args.mode:
        case "images":
            images = torch.cat(list(draw(*samples, batch_size=args.batch_size))).cpu()
            if hasattr(own, "save"):
                own.save(images.flatten(), out)
            return getattr(own, "figure", grid_of)(images), f"{len(images)} samples"
        case "interpolate":
            return sample_modes.interpolate(*samples, args.rows, args.steps, args.path)
        case "arithmetic":
            return sample_modes.arithmetic(*samples, args.base, args.minus, args.plus)
        case "neighbours":
            return sample_modes.neighbours(*samples, real(), args.rows, args.k)
        case "recover":
            search = args.iterations, args.restarts
            return sample_modes.recover(model, count, seed, real(), args.rows, *search)
        case _:
            return complete(model, seed, real(), args.rows)


def complete(model: Any, seed: int, data: Any, rows: int) -> tuple:
    """Complete test images whose lower halves are hidden: (figure, what it shows).

    Raises:
        UserError: The data have no test images.
    """
    from zoo.config.errors import UserError
    from zoo.engine.seeds import reseed
    from zoo.plots.completions import completions

    reseed(model.device, seed, "complete")
    figure = completions(model, data, rows).get("completions")
    if figure is None:
        raise UserError(f"{data.name} has no test images to complete.")
    return figure, f"{rows} test images, their upper halves, and six completions of each"


def write_each(samples: tuple, own: Any, folder: str, batch_size: int) -> None:
    """Write each sample as <folder>/<number> when it is drawn, by its data or as PNG.

    Raises:
        UserError: The folder is not empty.
    """
    from zoo.config.errors import UserError
    from zoo.engine.sampling import draw
    from zoo.media.images import save_png
    from zoo.plots.grids import as_images

    if Path(folder).is_dir() and any(Path(folder).iterdir()):
        raise UserError(f"out={folder} is not empty: its images would be mixed with these.")
    chunks, save = draw(*samples, batch_size=batch_size), getattr(own, "save", None)
    if save is None:
        chunks = (as_images(samples[0], chunk) for chunk in chunks)
    for number, item in enumerate(item for chunk in chunks for item in chunk):
        path = f"{folder}/{number:06d}"
        save(item, path) if save else save_png(item, f"{path}.png")
    print(f"{number + 1} samples in {folder}/")


def check_settings(args: SimpleNamespace) -> None:
    """Check that the mode exists and has the settings.

    Raises:
        UserError: It does not.
    """
    from zoo.config.errors import UserError, unknown

    mode = args.mode
    if mode not in MODES:
        raise unknown("mode=", mode, MODES)
    parameters = inspect.signature(sample).parameters
    for name in chain.from_iterable(MODES.values()):
        if name not in MODES[mode] and getattr(args, name) != parameters[name].default:
            raise UserError(
                f"mode={mode} does not accept {name}: it accepts {', '.join(MODES[mode])}."
            )


def check_model(model: Any, mode: str, conditions: dict | None) -> None:
    """Check that a model supports a mode.

    Raises:
        UserError: It does not.
    """
    from zoo.config.errors import UserError

    name, exact = type(model).__name__, getattr(model, "likelihood_kind", "") == "exact"
    if mode == "complete" and not (exact and "image" in model.needs):
        raise UserError(
            f"mode=complete needs a model of pixels in order, not {name}; condition=FILE completes "
            "audio."
        )
    if mode == "recover" and "image" in model.conditions:
        raise UserError(f"mode=recover: {name} is conditioned on the images themselves.")
    if mode == "recover" and hasattr(model, "elementwise_nll"):
        raise UserError(f"mode=recover: {name} samples pixel by pixel, without latents.")
    if mode in ("interpolate", "arithmetic", "recover") and not hasattr(model, "prior"):
        raise UserError(f"mode={mode} needs latents, and {name} has no prior.")
    if mode in ("recover", "complete") and conditions and not model.conditions:
        raise UserError(f"mode={mode} takes the conditions of the real images: give no others.")


def data_of(checkpoint: Any) -> Any:
    """Return the data of a checkpoint, which draw its figure; None if it does not name them."""
    from zoo.config.errors import UserError
    from zoo.runs.checkpoints import load_data

    try:
        return load_data(checkpoint)
    except UserError:
        return None


def prepared(checkpoint: Any, data: dict | None) -> Any:
    """Return the chosen data module, or else a checkpoint's own, ready to be read."""
    from zoo.runs.checkpoints import load_data

    module = load_data(checkpoint, data)
    module.prepare_data()
    return module


def images_of(checkpoint: Any, data: dict | None) -> Any:
    """Return the data module like `prepared`.

    Raises:
        UserError: It has no images.
    """
    from zoo.config.errors import UserError

    images = prepared(checkpoint, data)
    if "image" not in images.provides:
        raise UserError(f"{images.name} has no images: it provides {', '.join(images.provides)}.")
    return images


if __name__ == "__main__":
    from zoo.config.cli import main

    main(sample)
