"""The clock of benchmarks: a callback that `+callbacks=[benchmarks.clock.Clock]` adds to a run."""

import time
from typing import Any, ClassVar

import torch
from pytorch_lightning import Callback, Trainer

from zoo.base import GenerativeModule


def now():
    """Seconds that count: of this process's CPU, or, where there is a GPU, of the wall."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


class Clock(Callback):
    """Notes the end of each batch in `ends`, which the caller empties."""

    ends: ClassVar[list[float]] = []  # the run makes the instance, the caller reads

    def on_train_batch_end(
        self, trainer: Trainer, model: GenerativeModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.ends.append(now())
