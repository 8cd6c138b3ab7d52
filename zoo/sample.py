"""Draw images: `python -m zoo.sample checkpoint=wgan_digits count=64 mode=images`."""

import inspect
from itertools import chain
from types import SimpleNamespace
from typing import Annotated

from zoo.config.ranges import in_range

MODES = {  # with the settings that not all of them have
    "images": ("separate", "numbers", "batch_size"),
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
    numbers: bool = False,
    batch_size: int | None = None,
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
        numbers: Draws its number above each image, which base, minus and plus refer to (images).
        batch_size: Number of samples drawn at once, by default 100. Another one gives
            other samples.
        accelerator: cpu, gpu, mps, or auto for what the machine has.
        threads: CPU threads; by default torch's own choice.
        trust: A package, or [A,B], whose classes the checkpoint may name (docs/security.md).
    """
    args = SimpleNamespace(**locals())
    check_settings(args)
    from zoo.config.trust import trusting
    from zoo.runs.sample_outputs import draw_and_write

    with trusting(trust):
        draw_and_write(args)


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


if __name__ == "__main__":
    from zoo.config.cli import main

    main(sample)
