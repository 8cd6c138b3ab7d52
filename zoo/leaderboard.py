"""Measure all pretrained models under one protocol: `python -m zoo.leaderboard`."""

import inspect
import shlex
from pathlib import Path
from typing import Annotated

from zoo.config.cli import main
from zoo.config.ranges import in_range
from zoo.config.signature import as_typed


@in_range
def leaderboard(
    names: tuple[str, ...] = (),
    seeds: Annotated[tuple[int, ...], "[0, 4294967295]"] = (1, 2, 3),
    out: str = "docs/leaderboard",
    accelerator: str = "auto",
    threads: int | None = 1,
) -> None:
    """Measure pretrained models, and write <out>.csv, <out>.md and a figure, <out>.png.

    Each model is measured with each seed, with the default extractor of its data and the default
    number of samples of this extractor. Models that are not named keep their rows of an existing
    CSV file.

    Args:
        names: Pretrained models to measure, [A,B]; by default all.
        seeds: Seeds of the samples. Seed 0 is left out by default, because recipes report it.
        out: Path of the files without their extensions.
        accelerator: cpu, gpu, mps, or auto for the best one available.
        threads: Number of CPU threads.
    """
    from zoo.config.errors import UserError, unknown
    from zoo.plots.quality_and_speed import draw_quality_and_speed
    from zoo.runs import leaderboard_files as files
    from zoo.runs.launch import single_device
    from zoo.runs.leaderboard import measure
    from zoo.runs.pretrained import pretrained

    if not seeds:
        raise UserError("seeds=[1,2,3]: at least one seed is needed.")
    available = list(pretrained())
    for name in names:
        if name not in available:
            raise unknown("pretrained model ", name, available)
    device = single_device(accelerator, threads)
    csv = Path(f"{out}.csv")
    entries = files.read_csv(csv) if csv.exists() else {}
    entries = {name: entry for name, entry in entries.items() if name in available}
    for name in names or available:
        entries[name] = measure(name, seeds, device)
        files.write_csv(entries.values(), csv)  # an interrupted command keeps what it has measured
        print(name, flush=True)
    complete = set(available) <= set(entries)
    files.write_markdown(entries.values(), Path(f"{out}.md"), command_of(seeds, out), complete)
    draw_quality_and_speed(files.points(entries.values()), f"{out}.png")
    print(f"{out}.csv, {out}.md")


def command_of(seeds: tuple[int, ...], out: str) -> str:
    """Return the command that measures all pretrained models with these settings."""
    parameters = inspect.signature(leaderboard).parameters
    settings = {"seeds": seeds, "out": out}
    changed = {k: v for k, v in settings.items() if v != parameters[k].default}
    words = (shlex.quote(f"{k}={as_typed(v)}") for k, v in changed.items())
    return " ".join(["python -m zoo.leaderboard", *words])


if __name__ == "__main__":
    main(leaderboard)
