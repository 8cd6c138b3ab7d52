"""Print runs as a Markdown table: python -m experiments.tabulate FOLDER psnr_test fid_

FOLDER contains runs, at any depth. Runs that differ only in their seed form one row. The row's
name has the model and the data if there are several, and the settings in which the rows of that
model and data differ.

The columns are the metrics whose names start with the given prefixes, at the end of training (for
val/..., the last value). A cell has the mean ± sample standard deviation over the seeds, and the
value of each seed in ascending order. If several runs have the same seed and settings, as in a
repeated sweep, the latest is used.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from omegaconf import OmegaConf

from zoo.strict_json import number

# Settings that do not define a row, by prefix.
IGNORED_SETTINGS = ("seed", "folder", "resume", "threads", "trust", "logger", "trainer.accelerator")
GROUPS = ("model", "data")

Row = tuple[tuple[str, Any], ...]  # (key, value) pairs of settings
Seeds = dict[int, dict[str, float]]  # {seed: {metric: last value}}


def read_runs(folder: Path) -> dict[Row, Seeds]:
    """Read the metrics of the finished runs in a folder.

    If several runs have the same settings and seed, the latest is used, and stderr names the other.

    Args:
        folder: Contains runs, at any depth.

    Returns:
        {settings: {seed: {metric: last value}}}.

    Raises:
        ValueError: The folder contains no finished runs.
    """
    rows: dict = defaultdict(dict)
    files: dict = {}
    for file in sorted(folder.rglob("summary.json")):
        summary = json.loads(file.read_text())
        if summary["status"] != "finished":
            continue
        settings = flat(OmegaConf.to_container(OmegaConf.load(file.with_name("config.yaml"))))
        seed = settings["seed"]
        row = tuple(item for item in settings.items() if not item[0].startswith(IGNORED_SETTINGS))
        if seed in rows[row]:
            old, file = sorted((files[row, seed], file), key=lambda file: file.stat().st_mtime)
            print(f"{old.parent} is left out: {file.parent} repeats it", file=sys.stderr)
            summary = json.loads(file.read_text())
        files[row, seed] = file
        rows[row][seed] = {
            name.removeprefix("test/"): number(values["last"])
            for name, values in summary["metrics"].items()
        }
    if not rows:
        raise ValueError(f"there are no finished runs in {folder}")
    return dict(rows)


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts.

    Args:
        node: A nested dict; lists are values.
        prefix: Start of each key.

    Returns:
        {dotted key: value}, with values other than integers as text.
    """
    items: dict[str, Any] = {}
    for key, value in node.items():
        is_dict = isinstance(value, dict)
        items |= flat(value, f"{prefix}{key}.") if is_dict else {f"{prefix}{key}": value}
    return {key: v if isinstance(v, int) else str(v) for key, v in items.items()}


def targets(row: Row) -> tuple[str, ...]:
    """Return the classes of a row's model and data.

    Args:
        row: Settings of the row.
    """
    settings = dict(row)
    return tuple(settings.get(f"{group}._target_", "") for group in GROUPS)


def name_of(row: Row, rows: Collection[Row]) -> str:
    """Name a row by the settings in which it differs from others, as in 'model=vae model.width=8'.

    Args:
        row: Settings of the row.
        rows: Settings of all rows. Those with the same model and data are compared, except for the
            Trainer's settings, which are compared over all rows.
    """
    peers = [other for other in rows if targets(other) == targets(row)]
    common = set.intersection(*(set(other) for other in peers))
    common -= {(k, v) for k, v in common if k.startswith("trainer.") and not in_all(k, v, rows)}
    parts = []
    for position, group in enumerate(GROUPS):
        if len({targets(other)[position] for other in rows}) > 1:
            parts.append(f"{group}={targets(row)[position].split('.')[-2]}")
    for key, value in row:
        owner, _, last = key.rpartition(".")
        if (key, value) in common or (last == "_target_" and owner in GROUPS):
            continue
        callback = last == "_target_" and owner.partition(".")[2]
        parts.append(f"+callbacks=[{callback}]" if callback else f"{key}={value}")
    return " ".join(parts)


def in_all(key: str, value: Any, rows: Collection[Row]) -> bool:
    """Return whether all rows have the same value of a setting.

    Args:
        key: The setting.
        value: Its value.
        rows: Settings of all rows.
    """
    return all((key, value) in row for row in rows)


def table(rows: dict[Row, Seeds], prefixes: Sequence[str]) -> str:
    """Format runs as a Markdown table.

    Args:
        rows: Runs by settings and seed.
        prefixes: Starts of the names of the metrics, in the order of the columns.

    Raises:
        ValueError: No metric starts with a prefix.
    """
    names = {
        name: None for seeds in rows.values() for metrics in seeds.values() for name in metrics
    }
    columns: list[str] = []
    for prefix in prefixes:
        matches = [name for name in names if name.startswith(prefix)]
        if not matches:
            raise ValueError(f"no metric starts with {prefix}; the metrics are {', '.join(names)}")
        columns += matches
    lines = [f"| | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for row, seeds in rows.items():
        name = name_of(row, rows)
        runs = [seeds[seed] for seed in sorted(seeds)]
        cells = [cell_text([run.get(column) for run in runs]) for column in columns]
        lines.append(f"| {f'`{name}`' if name else ''} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell_text(values: Sequence[float | None]) -> str:
    """Format a metric as in '20.2 ± 0.1 (20.2, 20.3, 20.1)'.

    Args:
        values: The value of each seed. None is shown as a dash; mean and deviation need two values.
    """
    each = ", ".join("-" if value is None else f"{value:.4g}" for value in values)
    measured = [value for value in values if value is not None]
    if len(measured) < 2:
        return each
    return f"{mean(measured):.4g} ± {stdev(measured):.2g} ({each})"


def main() -> None:
    """Print the table of the runs in a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="contains the runs, at any depth")
    parser.add_argument("metrics", nargs="+", help="starts of the names of metrics")
    arguments = parser.parse_args()
    try:
        print(table(read_runs(arguments.folder), arguments.metrics))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
