"""Draw the losses and metrics of runs.

python -m zoo.plot outputs/wgan_digits/... out=curves.png
"""

from pathlib import Path

from zoo.config.errors import UserError
from zoo.plots.curves import Curve, draw_curves, read_history


def plot(runs: tuple[str, ...], out: str = "curves.png", names: tuple[str, ...] = ()) -> None:
    """Draw each loss and metric over the batches, one panel for each name, one line for each run.

    The log of a resumed run continues that of the run it resumes; a dotted line marks the batch.

    Args:
        runs: Folders of runs, without a key: python -m zoo.plot RUN RUN.
        out: The figure, in any format of matplotlib (.png, .pdf, .svg).
        names: Beginnings of the names to draw, such as fid; by default all except those of real
            images (real_).
    """
    if not runs:
        raise UserError("Name the folders of runs: python -m zoo.plot outputs/wgan_digits/DATE.")
    curves: dict[str, dict[str, Curve]] = {}
    resumes: dict[str, list[int]] = {}
    for run in runs:
        log, resumes[run] = read_history(Path(run))
        for name, curve in log.items():
            if name.startswith(names or "") and (names or not name.startswith("real_")):
                curves.setdefault(name, {})[run] = curve
    if not curves:
        raise UserError(f"{', '.join(runs)}: no numbers are named {', '.join(names)}.")
    draw_curves(curves, resumes, out)
    print(out)


if __name__ == "__main__":
    from zoo.config.cli import main

    main(plot, rest="runs")
