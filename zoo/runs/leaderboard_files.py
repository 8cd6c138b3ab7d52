"""The leaderboard's files: a CSV of all measurements, and Markdown tables of the common ones."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import mean, stdev

from zoo.atomic_files import write_text

# The metrics of the tables, by prefix, in the order of the columns. A name contains the protocol.
COLUMNS = (
    *("fid_", "kid_", "precision_", "recall_", "density_", "coverage_", "sharpness_"),
    *("bits_per_dim_", "copying_z_", "parameters", "sampling_ms", "training_minutes"),
)
BASELINES = ("real_", "copy_", "flow_", "oracle_", "pixels_")
OWN_METRICS = 6  # columns of a table without FID; the CSV file has all
COSTS = ("parameters", "sampling_ms", "training_minutes")
HEADER = ("data", "checkpoint", "model", "metric", "mean", "std", "values")
INTRODUCTION = """# Leaderboard

{models} under one protocol. `{command}` measures every
pretrained model, and writes this page, [{csv}]({csv}) with all metrics, and the figure
below.

- Values are {values} of one trained model. They do not
  include the spread over training seeds, which the recipes report.
- Checkpoints were not selected with the noise of these samples. All models of a table use the same
  number of samples, which is part of the metric's name. [Metrics](metrics.md) defines the metrics.
- The row **real test images** has the values that a perfect model would reach. If there are fewer
  test images than samples, the FID is extrapolated to the number of samples. For other metrics,
  the number of test images is in parentheses.
- `copying_z` is Z_U of the test for copies ([Neighbors](latents.md#neighbors)), with distances
  between pixels. Below -3, samples are closer to training images than test images are: they are
  copies, or blurred.
- `sampling_ms` is the CPU time per sample in milliseconds, on one thread with batches of 100.
  `training_minutes` is the training time on one CPU thread, from the recipe's header.
"""


@dataclass(frozen=True)
class Entry:
    """The measurements of one pretrained model.

    Args:
        checkpoint: Its name, which is also that of its recipe.
        model: Name of the model.
        data: Name of the data, with the size of images.
        values: {metric: the value with each seed}. Names of values of real samples begin with
            real_.
    """

    checkpoint: str
    model: str
    data: str
    values: dict[str, list[float]]

    def first(self, prefix: str) -> str | None:
        """Return the name of the first metric with a prefix, None if there is none."""
        names = [name for name in self.values if name.startswith(prefix) and "_std_" not in name]
        tight = [name for name in names if "_bound_" not in name]  # IWAE is tighter than the ELBO
        return next(iter(tight or names), None)


def read_csv(file: Path) -> dict[str, Entry]:
    """Read {checkpoint: Entry} from a CSV file that `write_csv` wrote."""
    entries: dict[str, Entry] = {}
    with file.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            new = Entry(row["checkpoint"], row["model"], row["data"], {})
            entry = entries.setdefault(row["checkpoint"], new)
            entry.values[row["metric"]] = [float(value) for value in row["values"].split()]
    return entries


def write_csv(entries: Iterable[Entry], file: Path) -> None:
    """Write one line for each metric of each model."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for entry in sorted(entries, key=lambda entry: (entry.data, entry.checkpoint)):
        for metric, values in entry.values.items():
            numbers = f"{mean(values):.6g}", f"{spread(values):.3g}"
            cells = *numbers, " ".join(f"{value:.6g}" for value in values)
            writer.writerow([entry.data, entry.checkpoint, entry.model, metric, *cells])
    write_text(file, text.getvalue())


def spread(values: list[float]) -> float:
    """Return the sample standard deviation; 0 for one value."""
    return stdev(values) if len(values) > 1 else 0.0


def write_markdown(
    entries: Iterable[Entry], file: Path, command: str, complete: bool = True
) -> None:
    """Write one table for each data set, sorted by FID, or by name where there is none.

    Args:
        entries: The measurements.
        file: The file, beside the CSV file and the figure.
        command: The command that writes the files.
        complete: Whether these are all pretrained models.
    """
    ordered = sorted(entries, key=lambda entry: (entry.data, rank(entry), entry.checkpoint))
    figure = file.with_suffix(".png").name if points(ordered) else None
    sections = [introduction(ordered, file, command, complete)]
    if figure:
        sections += [f"![FID and sampling time of the models]({figure})\n\n*`{command}`*\n"]
    for data, group in groupby(ordered, key=lambda entry: entry.data):
        sections += [f"## {data}\n", table(list(group))]
    write_text(file, "\n".join(sections))


def introduction(entries: list[Entry], file: Path, command: str, complete: bool) -> str:
    """Return the text above the tables. See `write_markdown`."""
    counts = {max(map(len, entry.values.values())) for entry in entries}
    low, high = min(counts, default=1), max(counts, default=1)
    seeds = f"{high}" if low == high else f"{low} to {high}"
    several = f"mean ± standard deviation over {seeds} evaluation seeds"
    some = f"{len(entries)} pretrained model{'s' if entries[1:] else ''}"
    return INTRODUCTION.format(
        models="All pretrained models" if complete else some,
        command=command,
        csv=file.with_suffix(".csv").name,
        values="from one evaluation seed" if high == 1 else several,
    )


def rank(entry: Entry) -> float:
    """Return the mean FID, infinity for a model without it."""
    metric = entry.first("fid_")
    return mean(entry.values[metric]) if metric else float("inf")


def table(entries: list[Entry]) -> str:
    """Return a Markdown table of the models of one data set.

    Where no model has an FID, the first of the model's own metrics are the columns.
    """
    metrics: dict[str, None] = {}
    for prefix in COLUMNS:
        metrics |= {metric: None for e in entries if (metric := e.first(prefix))}
    if not any(entry.first("fid_") for entry in entries):
        own = [name for entry in entries for name in entry.values if is_result(name)][:OWN_METRICS]
        metrics = dict.fromkeys(own) | {name: None for name in metrics if name in COSTS}
    rows = [[f"`{e.checkpoint}`", *(cell(e, metric) for metric in metrics)] for e in entries]
    real = [real_cell(entries, metric) for metric in metrics]
    if any(real):
        rows.append(["real test images", *real])
    lines = [f"| model | {' | '.join(f'`{name}`' for name in metrics)} |"]
    lines += ["|---" * (len(metrics) + 1) + "|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


def is_result(name: str) -> bool:
    """Return whether a metric is a result of the model, and not a baseline or a cost."""
    return not name.startswith((*BASELINES, *COSTS)) and "_std_" not in name


def cell(entry: Entry, metric: str) -> str:
    """Return "mean ± spread" of a metric.

    A single value has no spread. The result is "" if the model does not have the metric.
    """
    values = entry.values.get(metric, [])
    if not values:
        return ""
    if metric == "parameters":
        return f"{values[0]:,.0f}"
    number = f"{mean(values):.3g}"
    if len(values) == 1 or metric in COSTS:
        return number
    return f"{number} ± {float(f'{spread(values):.1g}'):.3g}"  # 10, not 1e+01


def real_cell(entries: list[Entry], metric: str) -> str:
    """Return the value of real test images, of the same count or extrapolated to it."""
    prefixes = f"real_{metric}", f"real_{metric.rpartition('_')[0]}_"
    for entry in entries:
        for prefix in prefixes:
            if name := entry.first(prefix):
                count = name.rpartition("_")[2]
                note = "" if name in (f"real_{metric}", f"real_{metric}_extrapolated") else count
                return f"{mean(entry.values[name]):.3g}" + (f" ({note} images)" if note else "")
    return ""


def points(entries: Iterable[Entry]) -> dict[str, list[tuple[str, float, float]]]:
    """Return {data: [(model, sampling time in ms, FID)]} of data with at least three models."""
    found: dict[str, list[tuple[str, float, float]]] = {}
    for entry in entries:
        if metric := entry.first("fid_"):
            point = entry.checkpoint, mean(entry.values["sampling_ms"]), mean(entry.values[metric])
            found.setdefault(f"{entry.data}, {metric}", []).append(point)
    return {data: of_data for data, of_data in found.items() if len(of_data) > 2}
