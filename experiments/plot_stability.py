"""Plot a sweep's final distances: python -m experiments.plot_stability FOLDER [--out FILE.png]

FOLDER contains the runs of experiments/stability_digits.yaml. Each cell is the median over the
seeds at the last batch. The distance of a diverged run is infinite. Needs matplotlib.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import median

from omegaconf import OmegaConf

from zoo.atomic_files import replacing
from zoo.strict_json import number

# {(network, model, learning rate): distance of each seed}
Cells = dict[tuple[str, str, float], list[float]]


def read_runs(folder: Path) -> Cells:
    """Read the final distances of the runs in a folder.

    Args:
        folder: Contains the runs' folders.

    Returns:
        The distance of each seed. Interrupted runs are left out.

    Raises:
        ValueError: The folder contains no runs.
    """
    cells = defaultdict(list)
    for file in sorted(folder.glob("*/summary.json")):
        summary = json.loads(file.read_text())
        model = OmegaConf.load(file.with_name("config.yaml")).model
        name = next(name for name in summary["metrics"] if name.startswith("test/fid"))
        finished = summary["status"] == "finished"
        if not finished and "Diverged" not in summary["status"]:
            continue  # interrupted
        distance = number(summary["metrics"][name]["last"]) if finished else float("inf")
        cells[model.network, summary["model"], model.lr].append(distance)
    if not cells:
        raise ValueError(f"there are no runs in {folder}")
    return dict(cells)


def table(cells: Cells) -> str:
    """Format the medians as Markdown, with one row per model and network, one column per rate.

    Args:
        cells: Distances of the runs.
    """
    rates = sorted({rate for *_, rate in cells})
    lines = [f"| model | network | {' | '.join(f'{rate:g}' for rate in rates)} |"]
    lines += ["|---|---|" + "---|" * len(rates)]
    for model, network in sorted({(model, network) for network, model, _ in cells}):
        values = [cells.get((network, model, rate)) for rate in rates]
        lines += [f"| {model} | {network} | {' | '.join(cell_text(v) for v in values)} |"]
    return "\n".join(lines)


def cell_text(values: list[float] | None) -> str:
    """Format the median of a cell.

    Args:
        values: Distances, or None for a cell without runs.

    Returns:
        The median, "diverged", or "" for a cell without runs.
    """
    if values is None:
        return ""
    return "diverged" if median(values) == float("inf") else f"{median(values):.1f}"


def draw(cells: Cells, file: Path) -> None:
    """Draw one panel per network: models in rows, rates in columns, log distances as colors.

    Args:
        cells: Distances of the runs.
        file: The figure's file; its suffix is the format.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.colors import LogNorm

    networks, models, rates = (sorted(values) for values in map(set, zip(*cells, strict=True)))
    finite = [median(v) for v in cells.values() if median(v) < float("inf")] or [1.0]
    colors = LogNorm(min(finite), max(finite))
    figure, panels = pyplot.subplots(
        1, len(networks), figsize=(3.2 * len(networks), 0.6 * len(models) + 1), squeeze=False
    )
    for panel, network in zip(panels[0], networks, strict=True):
        values = [[cells.get((network, model, rate)) for rate in rates] for model in models]
        heights = [
            [min(median(v), max(finite)) if v else float("nan") for v in row] for row in values
        ]
        panel.imshow(heights, norm=colors, cmap="viridis_r", aspect="auto")
        for y, row in enumerate(values):
            for x, cell in enumerate(row):
                ink = "black" if colors(heights[y][x]) < 0.4 else "white"
                panel.text(x, y, cell_text(cell), ha="center", va="center", color=ink, fontsize=8)
        panel.set_title(network)
        panel.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
        panel.set_yticks(range(len(models)), models if panel is panels[0][0] else [])
        panel.set_xlabel("learning rate")
    figure.suptitle("Fréchet distance at the last batch", fontsize=9)
    figure.tight_layout()
    with replacing(file) as target:
        figure.savefig(target, format=file.suffix[1:], dpi=110)


def main() -> None:
    """Write the figure and print the table."""
    parser = argparse.ArgumentParser(description="Plot the final distances of a sweep.")
    parser.add_argument("folder", type=Path, help="contains the runs of the sweep")
    parser.add_argument("--out", type=Path, default=Path("stability.png"), help="the figure's file")
    options = parser.parse_args()
    cells = read_runs(options.folder)
    draw(cells, options.out)
    print(table(cells))


if __name__ == "__main__":
    main()
