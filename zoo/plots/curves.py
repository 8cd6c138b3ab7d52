"""Curves of losses and metrics over the batches, across resumed runs."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from zoo.config.errors import UserError
from zoo.config.stored_arguments import read_arguments
from zoo.plots.charts import new_chart, save_chart

COLUMNS = 3
Curve = dict[int, float]  # {batch: value}


def read_history(run: Path) -> tuple[dict[str, Curve], list[int]]:
    """Read the logs of a run and of the runs that it resumes.

    What a run logged after the checkpoint from which another was resumed is left out.

    Args:
        run: Folder of the run.

    Returns:
        {name: Curve}, names with `train/` or `val/`, and the batches at which the run was resumed.

    Raises:
        UserError: The folder has no log.
    """
    logs: list[dict[str, Curve]] = []
    seen: set[Path] = set()
    current: Path | None = run
    while current is not None and current.resolve() not in seen:
        seen.add(current.resolve())
        logs.append(read_log(current))
        current = resumed_run(current)
    history: dict[str, Curve] = {}
    resumes: list[int] = []
    for log in reversed(logs):
        if not log:
            continue
        first = min(batch for curve in log.values() for batch in curve)
        if history:
            resumes.append(first)
        for name, curve in log.items():
            before = {batch: v for batch, v in history.get(name, {}).items() if batch < first}
            history[name] = before | curve
    return history, resumes


def run_labels(runs: Sequence[str]) -> dict[str, str]:
    """Return {run: label}: the settings of its command line that not all runs have.

    A run whose settings are not known, or are those of another run, has its folder in the label.
    """
    settings = {run: command_line(Path(run)) for run in runs}
    common = set.intersection(*map(set, settings.values()))
    labels = {run: " ".join(s for s in own if s not in common) for run, own in settings.items()}
    if len(runs) == 1:
        return dict.fromkeys(runs, runs[0])
    counts = Counter(labels.values())
    return {
        run: label if label and counts[label] == 1 else f"{label} {run}".lstrip()
        for run, label in labels.items()
    }


def command_line(run: Path) -> list[str]:
    """Return the settings in a run's arguments.json, [] without the file."""
    file = run / "arguments.json"
    return [s.lstrip("+") for s in read_arguments(file)] if file.is_file() else []


def read_log(run: Path) -> dict[str, Curve]:
    """Return {name: Curve} of a run's metrics.csv, names with `train/` or `val/`.

    The numbers of the end of training, `test/...`, are not curves and are left out.

    Raises:
        UserError: The folder has no metrics.csv.
    """
    file = run / "metrics.csv"
    if not file.is_file():
        raise UserError(f"{run} is not the folder of a run: {file} does not exist.")
    log: dict[str, Curve] = {}
    with open(file, newline="") as lines:
        for row in csv.DictReader(lines):
            batch = int(row.pop("step"))
            for name, value in row.items():
                if value and name != "epoch" and not name.startswith("test/"):
                    log.setdefault(name, {})[batch] = float(value)
    return log


def short_name(name: str) -> str:
    """Return the name of a curve without `train/` or `val/`."""
    return name.rpartition("/")[2]


def titles(names: Iterable[str]) -> dict[str, str]:
    """Return {name: title}. Titles are short names, except where two names have the same."""
    names = list(names)
    counts = Counter(map(short_name, names))
    return {name: short_name(name) if counts[short_name(name)] == 1 else name for name in names}


def resumed_run(run: Path) -> Path | None:
    """Return the folder of the run that a run resumes, or None if it does not exist."""
    file = run / "config.yaml"
    config: Any = OmegaConf.load(file) if file.is_file() else {}
    resume = config.get("resume")
    if resume is None:
        return None
    folder = Path(resume).parent.parent
    for place in (folder, run.parent / folder.name):  # the second if both runs were moved together
        if (place / "metrics.csv").is_file():
            return place
    return None


def draw_curves(
    curves: dict[str, dict[str, Curve]],
    resumes: dict[str, list[int]],
    labels: dict[str, str],
    out: str,
) -> None:
    """Draw one panel for each name, with one line for each run.

    Args:
        curves: {name: {run: Curve}}.
        resumes: {run: batches at which it was resumed}, drawn as dotted lines.
        labels: {run: label} for the legend.
        out: Path of the figure, in any format of matplotlib.

    Raises:
        UserError: matplotlib is not installed, or does not know the format.
    """
    columns = min(COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    figure = new_chart(4 * columns, 2.6 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    colors = {run: f"C{number % 10}" for number, run in enumerate(resumes)}
    for panel, (name, curves_of_runs) in zip(panels, curves.items(), strict=False):
        draw_panel(panel, name, curves_of_runs, resumes, colors)
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
    if len(resumes) > 1:
        lines = [panels[0].plot([], color=color)[0] for color in colors.values()]
        figure.legend(
            lines, [labels[run] for run in resumes], loc="outside lower center", fontsize=8
        )
    save_chart(figure, out)


def draw_panel(
    panel: Any,
    name: str,
    curves: dict[str, Curve],
    resumes: dict[str, list[int]],
    colors: dict[str, str],
) -> None:
    """Draw the curves {run: Curve} of one name on matplotlib axes. See `draw_curves`."""
    panel.set_title(name, fontsize=9)
    panel.set_xlabel("batch", fontsize=8)
    for run, curve in curves.items():
        style = {"marker": "."} if len(curve) < 20 else {}
        panel.plot(*zip(*sorted(curve.items()), strict=True), color=colors[run], **style)
        for batch in resumes[run]:
            panel.axvline(batch, color=colors[run], linestyle=":", linewidth=0.8)
