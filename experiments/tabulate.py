"""Print runs as a Markdown table: python -m experiments.tabulate FOLDER psnr_test fid_

FOLDER holds runs, at any depth. Runs that differ in their seed alone are one row. It is named by
its model and data where there are several, and by the settings in which the rows of that model and
data differ. A column is a metric, reported at the end, whose name begins so: mean ± sample standard
deviation of the seeds, and each of them, in the order of the seeds; val/... is the last of those in
training. Of runs of one seed with the same settings, such as those of a sweep that was repeated,
the latest counts.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev

from omegaconf import OmegaConf

OF_NO_ROW = ("seed", "folder", "resume", "threads", "trust", "logger", "trainer.accelerator")
KINDS = ("model", "data")


def read_runs(folder: Path) -> dict[tuple, dict[int, dict[str, float]]]:
    """{settings: {seed: {metric: last value}}} of the finished runs in a folder.

    Settings are (key, value) pairs. Where a seed comes twice, the latest run counts, and stderr
    names the other. Raises ValueError if there are no runs.
    """
    rows: dict = defaultdict(dict)
    files: dict = {}
    for file in sorted(folder.rglob("summary.json")):
        summary = json.loads(file.read_text())
        if summary["status"] != "finished":
            continue
        settings = flat(OmegaConf.to_container(OmegaConf.load(file.with_name("config.yaml"))))
        seed = settings["seed"]
        row = tuple(item for item in settings.items() if not item[0].startswith(OF_NO_ROW))
        if seed in rows[row]:
            old, file = sorted((files[row, seed], file), key=lambda file: file.stat().st_mtime)
            print(f"{old.parent} is left out for {file.parent}, its repeat", file=sys.stderr)
            summary = json.loads(file.read_text())
        files[row, seed] = file
        rows[row][seed] = {
            name.removeprefix("test/"): values["last"]
            for name, values in summary["metrics"].items()
        }
    if not rows:
        raise ValueError(f"there are no finished runs in {folder}")
    return dict(rows)


def flat(node, prefix=""):
    """{dotted key: value as text} of nested dicts; lists are values."""
    items = {}
    for key, value in node.items():
        found = flat(value, f"{prefix}{key}.") if isinstance(value, dict) else None
        items |= {f"{prefix}{key}": value} if found is None else found
    return {key: v if isinstance(v, int) else str(v) for key, v in items.items()}


def kind(row):
    """The classes of a row's model and data."""
    settings = dict(row)
    return tuple(settings.get(f"{group}._target_") for group in KINDS)


def name_of(row, rows):
    """'model=vae model.width=8': model and data where the rows have several, and what differs.

    Settings that have nothing to do with the model or the data are compared over all rows.
    """
    peers = [other for other in rows if kind(other) == kind(row)]
    common = set.intersection(*(set(other) for other in peers))
    common -= {(k, v) for k, v in common if k.startswith("trainer.") and not in_all(k, v, rows)}
    parts = []
    for position, group in enumerate(KINDS):
        if len({kind(other)[position] for other in rows}) > 1:
            parts.append(f"{group}={kind(row)[position].split('.')[-2]}")
    for key, value in row:
        owner, _, last = key.rpartition(".")
        if (key, value) in common or (last == "_target_" and owner in KINDS):
            continue
        callback = last == "_target_" and owner.partition(".")[2]
        parts.append(f"+callbacks=[{callback}]" if callback else f"{key}={value}")
    return " ".join(parts)


def in_all(key, value, rows):
    """Whether every row has this value of a setting."""
    return all((key, value) in row for row in rows)


def table(rows, prefixes) -> str:
    """Markdown. Raises ValueError for a prefix that begins no metric."""
    every = {name: None for seeds in rows.values() for found in seeds.values() for name in found}
    columns = []
    for prefix in prefixes:
        named = [name for name in every if name.startswith(prefix)]
        if not named:
            raise ValueError(f"{prefix} begins none of the metrics: {', '.join(every)}")
        columns += named
    lines = [f"| | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for row, seeds in rows.items():
        name = name_of(row, rows)
        found = [seeds[seed] for seed in sorted(seeds)]
        cells = [cell_text([f.get(column) for f in found]) for column in columns]
        lines.append(f"| {f'`{name}`' if name else ''} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell_text(values):
    """'20.2 ± 0.1 (20.2, 20.3, 20.1)'; a seed that lacks it is a dash, one value stands alone."""
    each = ", ".join("-" if value is None else f"{value:.4g}" for value in values)
    measured = [value for value in values if value is not None]
    if len(measured) < 2:
        return each
    return f"{mean(measured):.4g} ± {stdev(measured):.2g} ({each})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder of a sweep, or above several runs")
    parser.add_argument("metrics", nargs="+", help="how the names of the metrics begin")
    arguments = parser.parse_args()
    try:
        print(table(read_runs(arguments.folder), arguments.metrics))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
