"""Times of batches, by a callback that `+callbacks=[benchmarks.clock.Clock]` adds to a run."""

import time
from typing import Any, ClassVar

import torch
from pytorch_lightning import Callback, Trainer

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
