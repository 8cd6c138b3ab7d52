"""Figures of matplotlib, which is an optional dependency."""

from pathlib import Path
from typing import Any

from zoo.atomic_files import replacing
from zoo.config.errors import UserError


def new_chart(width: float, height: float, constrained: bool = True) -> Any:
    """Return an empty matplotlib Figure.

    Args:
        width: In inches.
        height: In inches.
        constrained: Arrange axes so that labels do not overlap.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("The figure needs matplotlib: python -m pip install matplotlib") from error
    return Figure(figsize=(width, height), layout="constrained" if constrained else None)


def save_chart(chart: Any, out: str) -> None:
    """Write a matplotlib Figure.

    Args:
        chart: The figure.
        out: Path of the file, in any format of matplotlib.

    Raises:
        UserError: matplotlib does not know the format.
    """
    try:
        with replacing(out) as file:
            chart.savefig(file, format=Path(out).suffix[1:] or "png", dpi=110)
    except ValueError as error:
        raise UserError(f"out={out}: {error}") from error
