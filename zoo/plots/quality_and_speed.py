"""The figure of the leaderboard: quality of samples against sampling time."""

from pathlib import Path

from zoo.plots.charts import new_chart, save_chart

Points = list[tuple[str, float, float]]  # (model, sampling time in ms, FID)


def draw_quality_and_speed(panels: dict[str, Points], out: str) -> None:
    """Draw one panel for each data set, with a labeled point for each model.

    Args:
        panels: {title: Points}. For {} nothing is drawn, and an older figure is removed.
        out: Path of the figure, in any format of matplotlib.

    Raises:
        UserError: matplotlib is not installed.
    """
    if not panels:
        Path(out).unlink(missing_ok=True)
        return
    figure = new_chart(9, 6 * len(panels))
    axes = figure.subplots(len(panels), 1, squeeze=False).flatten()
    for panel, (title, points) in zip(axes, panels.items(), strict=True):
        panel.set(xscale="log", yscale="log", title=title)
        panel.set(xlabel="CPU time per sample (ms)", ylabel="FID (lower is better)")
        panel.scatter([point[1] for point in points], [point[2] for point in points])
        for name, *place in points:
            panel.annotate(name, place, xytext=(4, 3), textcoords="offset points", fontsize=8)
        panel.grid(alpha=0.3, which="both")
        panel.margins(x=0.15)  # for the names
    save_chart(figure, out)
