"""The runs of a sweep as a Markdown table: python -m experiments.tabulate FOLDER psnr_test fid_

FOLDER holds runs, at any depth. Runs that differ in their seed alone are one row, named by the
settings in which the rows differ; a column is a metric whose name begins so: mean ± sample standard
deviation of the seeds at the last measurement, and each of them, in the order of the seeds.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev

from omegaconf import OmegaConf

OF_NO_ROW = ("seed", "folder", "resume", "threads", "logger", "trainer.accelerator")


def read_runs(folder: Path) -> dict[tuple, dict[int, dict[str, float]]]:
    """{settings: {seed: {metric: last value}}} of the finished runs in a folder.

    Settings are (key, value) pairs. Raises ValueError where a seed comes twice, or never.
    """
    rows = defaultdict(dict)
    for file in sorted(folder.rglob("summary.json")):
        summary = json.loads(file.read_text())
        if summary["status"] != "finished":
            continue
        settings = flat(OmegaConf.to_container(OmegaConf.load(file.with_name("config.yaml"))))
        seed = settings["seed"]
        row = tuple(item for item in settings.items() if not item[0].startswith(OF_NO_ROW))
        if seed in rows[row]:
            raise ValueError(f"{file.parent} is another run of seed {seed} with the same settings")
        rows[row][seed] = {name: values["last"] for name, values in summary["metrics"].items()}
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


def table(rows, prefixes) -> str:
    """Markdown. Raises ValueError for a prefix that begins no metric."""
    every = {name: None for seeds in rows.values() for found in seeds.values() for name in found}
    columns = []
    for prefix in prefixes:
        named = [name for name in every if name.startswith(prefix)]
        if not named:
            raise ValueError(f"{prefix} begins none of the metrics: {', '.join(every)}")
        columns += named
    common = set.intersection(*(set(row) for row in rows))
    lines = [f"| | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for row, seeds in rows.items():
        name = " ".join(f"{key}={value}" for key, value in row if (key, value) not in common)
        found = [seeds[seed] for seed in sorted(seeds)]
        cells = [shown([f.get(column) for f in found]) for column in columns]
        lines.append(f"| {f'`{name}`' if name else ''} | {' | '.join(cells)} |")
    return "\n".join(lines)


def shown(values):
    """'20.2 ± 0.1 (20.2, 20.3, 20.1)'; a seed that lacks it is a dash, one value stands alone."""
    each = ", ".join("-" if value is None else f"{value:.4g}" for value in values)
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return each
    return f"{mean(known):.4g} ± {stdev(known):.2g} ({each})"


def main():
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
