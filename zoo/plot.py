"""Draw the losses and metrics of runs.

python -m zoo.plot outputs/wgan_digits/... out=curves.png
"""

from pathlib import Path

from zoo.config.errors import UserError
from zoo.plots.curves import Curve, draw_curves, read_history, run_labels, short_name, titles


def plot(runs: tuple[str, ...], out: str = "curves.png", names: tuple[str, ...] = ()) -> None:
    """Plot each loss and metric over the batches, with a panel per metric and a line per run.

    The curves of a resumed run continue those of the original run. A dotted line marks the batch at
    which it was resumed. A panel's title has the prefix train/ or val/ only if both are plotted.
    The labels of the lines name the settings in which the runs differ.

    Args:
        runs: Folders of runs, without a key: python -m zoo.plot RUN RUN.
        out: The figure, in any format of matplotlib (.png, .pdf, .svg).
        names: Prefixes of the losses and metrics to plot, such as fid; by default all except real_.
    """
    if not runs:
        raise UserError("Pass the folders of runs: python -m zoo.plot outputs/wgan_digits/DATE.")
    curves: dict[str, dict[str, Curve]] = {}
    resumes: dict[str, list[int]] = {}
    for run in runs:
        log, resumes[run] = read_history(Path(run))
        for name, curve in log.items():
            short = short_name(name)
            if short.startswith(names or "") and (names or not short.startswith("real_")):
                curves.setdefault(name, {})[run] = curve
    if not curves:
        raise UserError(f"{', '.join(runs)}: no values are logged as {', '.join(names)}.")
    titled = {title: curves[name] for name, title in titles(curves).items()}
    draw_curves(titled, resumes, run_labels(list(resumes)), out)
    print(out)


if __name__ == "__main__":
    from zoo.config.cli import main

    main(plot, rest="runs")
