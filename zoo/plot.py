"""Draw the losses and metrics of runs: python -m zoo.plot outputs/wgan_digits/... out=curves.png"""

import csv
from pathlib import Path

from omegaconf import OmegaConf

from zoo.atomic_files import replacing
from zoo.config.errors import UserError

COLUMNS = 3
Curve = dict[int, float]  # {batch: value}


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
        raise UserError("Say which runs: python -m zoo.plot outputs/wgan_digits/DATE.")
    curves, resumes = {}, {}
    for run in runs:
        log, resumes[run] = history(Path(run))
        for name, curve in log.items():
            if name.startswith(names or "") and (names or not name.startswith("real_")):
                curves.setdefault(name, {})[run] = curve
    if not curves:
        raise UserError(f"{', '.join(runs)}: there are no numbers named {', '.join(names)}.")
    draw(curves, resumes, out)
    print(out)


def history(run: Path) -> tuple[dict[str, Curve], list[int]]:
    """Return {name: Curve} of a run and of those that it resumes, and where the logs join.

    What a run logged after the checkpoint that another went on from is left out.

    Args:
        run: the folder of the run.

    Raises:
        UserError: there is no log in the folder.
    """
    logs, seen = [], set()
    while run is not None and run.resolve() not in seen:
        seen.add(run.resolve())
        logs.append(read_log(run))
        run = origin(run)
    whole, joints = {}, []
    for log in reversed(logs):
        if not log:
            continue
        first = min(batch for curve in log.values() for batch in curve)
        if whole:
            joints.append(first)
        for name, curve in log.items():
            before = {batch: v for batch, v in whole.get(name, {}).items() if batch < first}
            whole[name] = before | curve
    return whole, joints


def read_log(run: Path) -> dict[str, Curve]:
    """Return {name: Curve} of a run's metrics.csv, losses and metrics without `train/`, `val/`.

    What is reported at the end, `test/...`, is no curve.
    """
    file = run / "metrics.csv"
    if not file.is_file():
        raise UserError(f"{run} is no run's folder: there is no {file}.")
    log = {}
    with open(file, newline="") as lines:
        for row in csv.DictReader(lines):
            batch = int(row.pop("step"))
            for name, value in row.items():
                if value and name != "epoch" and not name.startswith("test/"):
                    log.setdefault(name.rpartition("/")[2], {})[batch] = float(value)
    return log


def origin(run: Path) -> Path | None:
    """Return the folder of the run that a run resumes; None if there is none, or it is gone."""
    file = run / "config.yaml"
    resume = OmegaConf.load(file).get("resume") if file.is_file() else None
    if resume is None:
        return None
    before = Path(resume).parent.parent
    for folder in (before, run.parent / before.name):  # the second if both were moved together
        if (folder / "metrics.csv").is_file():
            return folder
    return None


def draw(curves: dict[str, dict[str, Curve]], resumes: dict[str, list[int]], out: str) -> None:
    """Write {name: {run: Curve}} as a picture.

    Args:
        curves: what to draw, a panel for each name.
        resumes: {run: batches where it was resumed}.
        out: the picture's path.

    Raises:
        UserError: matplotlib is not installed, or does not know such a picture.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("zoo.plot needs: python -m pip install matplotlib") from error
    columns = min(COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(4 * columns, 2.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    colours = {run: f"C{number % 10}" for number, run in enumerate(resumes)}
    for panel, (name, of_runs) in zip(panels, curves.items(), strict=False):
        panel.set_title(name, fontsize=9)
        panel.set_xlabel("batch", fontsize=8)
        for run, curve in of_runs.items():
            style = {"marker": "."} if len(curve) < 20 else {}
            panel.plot(*zip(*sorted(curve.items()), strict=True), color=colours[run], **style)
            for batch in resumes[run]:
                panel.axvline(batch, color=colours[run], linestyle=":", linewidth=0.8)
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
    if len(resumes) > 1:
        lines = [panels[0].plot([], color=colour)[0] for colour in colours.values()]
        figure.legend(lines, list(resumes), loc="outside lower center", fontsize=8)
    try:
        with replacing(out) as file:
            figure.savefig(file, format=Path(out).suffix[1:] or "png", dpi=110)
    except ValueError as error:  # an ending that matplotlib does not know
        raise UserError(f"out={out}: {error}") from error


if __name__ == "__main__":
    from zoo.config.cli import main

    main(plot, rest="runs")
