"""Times of the batches of `python -m zoo.fit`, by a callback."""

import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import torch
from pytorch_lightning import Callback, Trainer

from zoo import fit
from zoo.base import GenerativeModule


def now() -> float:
    """Return the CPU seconds of this process, or the wall-clock seconds if there is a GPU."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


class Clock(Callback):
    """Record the time at the end of each batch in `ends`, which the caller clears."""

    ends: ClassVar[list[float]] = []  # of the class, because the run creates the instance

    def on_train_batch_end(
        self, trainer: Trainer, model: GenerativeModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.ends.append(now())


def zoo_batch_ends(settings: Sequence[str]) -> list[float]:
    """Run `python -m zoo.fit` in this process, on one CPU thread or a GPU.

    Args:
        settings: Its command line.

    Returns:
        Time in seconds at the end of each batch.
    """
    Clock.ends.clear()
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        run = f"folder={Path(folder, 'run')}"
        sys.argv = ["zoo.fit", *settings, "threads=1", "+callbacks=[benchmarks.clock.Clock]", run]
        fit.main()
    return [*Clock.ends]
