"""Progress bars of a command on the terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from zoo.engine.distributed import rank_and_world_size


@contextmanager
def progress_bars() -> Iterator[Callable[..., Callable[[int], None]]]:
    """Show progress bars on the terminal of process 0.

    Yields:
        bar(name, total), which adds a bar and returns a function to advance it by a number of this
        process's images; bar(name, total, divided=False) for work of process 0 alone.
    """
    rank, world_size = rank_and_world_size()
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    console = Console(file=sys.stderr)
    disabled = rank > 0 or not console.is_terminal
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=disabled) as progress:

        def bar(name: str, total: int, divided: bool = True) -> Callable[[int], None]:
            task = progress.add_task(name, total=total)
            workers = world_size if divided else 1
            return lambda count: progress.advance(task, count * workers)

        yield bar
