"""The figure of the leaderboard: quality of samples against sampling time."""

from zoo.atomic_files import replacing
from zoo.config.errors import UserError

Points = list[tuple[str, float, float]]  # (model, sampling time in ms, FID)


def draw_quality_and_speed(panels: dict[str, Points], out: str) -> None:
    """Draw one panel for each data set, with a labeled point for each model.

    Args:
        panels: {title: Points}. Nothing is drawn for {}.
        out: Path of the figure, in any format of matplotlib.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("The figure needs matplotlib: python -m pip install matplotlib") from error
    if not panels:
        return
    figure = Figure(figsize=(9, 6 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False).flatten()
    for panel, (title, points) in zip(axes, panels.items(), strict=True):
        panel.set(xscale="log", yscale="log", title=title)
        panel.set(xlabel="CPU time per sample (ms)", ylabel="FID (lower is better)")
        panel.scatter([point[1] for point in points], [point[2] for point in points])
        for name, *place in points:
            panel.annotate(name, place, xytext=(4, 3), textcoords="offset points", fontsize=8)
        panel.grid(alpha=0.3, which="both")
        panel.margins(x=0.15)  # for the names
    with replacing(out) as file:
        figure.savefig(file, format=out.rpartition(".")[2], dpi=110)
