"""Generate samples: `python -m zoo.sample checkpoint=wgan_digits count=64 mode=images`."""

import inspect
from itertools import chain
from types import SimpleNamespace
from typing import Annotated

from zoo.config.ranges import in_range

MODES = {  # with the settings that not all of them have
    "images": ("separate", "numbers", "batch_size", "truncation"),
    "interpolate": ("rows", "path_points", "path"),
    "arithmetic": ("base", "minus", "plus"),
    "neighbors": ("rows", "data", "k"),
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
    path_points: Annotated[int, "[2, 1000]"] = 10,
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
    truncation: float = 1.0,
    accelerator: str = "auto",
    threads: int | None = None,
    trust: str | tuple[str, ...] = (),
) -> None:
    """Sample from a model and write a figure as PNG. docs/latents.md shows each mode.

    mode=images      a grid of samples
    mode=interpolate paths between samples
    mode=arithmetic  sums and differences of samples
    mode=neighbors   samples beside their nearest training images
    mode=recover     real images beside the nearest images that the model can generate
    mode=complete    test images with hidden lower halves beside their completions

    Args:
        checkpoint: Name of a pretrained model, a run's folder, a checkpoint file, or
            hf://user/repo[@revision].
        mode: One of the modes above.
        count: Number of samples, or of real images with mode=recover. mode=complete uses six per
            row.
        seed: Seed of the samples.
        label: Name or number of the class to sample, for a class-conditional model.
        caption: Caption to sample from, for a text-conditional model.
        condition: Safetensors file with a batch of conditions, or with `latent`. To complete images
            or audio, it holds `image` or `audio` and `mask`, 1 at hidden elements. One sample is
            drawn for each entry; `count` is ignored.
        rows: Number of rows of the figure (interpolate, neighbors, recover, complete).
        path_points: Number of images per row (interpolate).
        path: linear or spherical (interpolate).
        base: Three samples to start from. Samples are numbered from 0 as in the grid of mode=images
            (arithmetic).
        minus: Three samples to subtract (arithmetic).
        plus: Three samples to add (arithmetic).
        data: Real images, data=NAME data.KEY=VALUE; by default the data of training (neighbors,
            recover, complete).
        k: Number of nearest images per sample (neighbors).
        iterations: Number of optimization steps of each search (recover).
        restarts: Number of searches per image (recover).
        out: Path of the output. The figure is <out>.png. With separate=true each sample is a file
            in the folder <out>/. Audio is also written as <out>.wav, with all samples in sequence.
        separate: Write each sample to a separate file (images).
        numbers: Draw each image's number above it, for use in base, minus and plus (images).
        batch_size: Batch size of sampling, by default 100. Different batch sizes give different
            samples.
        truncation: Below 1, latents are closer to their mean: samples are more typical, with less
            variety (images).
        accelerator: cpu, gpu, mps, or auto for the best one available.
        threads: Number of CPU threads; by default torch chooses.
        trust: A package, or a list [A,B], whose classes the checkpoint may use (docs/security.md).
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
