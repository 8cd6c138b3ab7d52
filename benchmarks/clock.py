"""The clock of benchmarks: a callback that `+callbacks=[benchmarks.clock.Clock]` adds to a run."""

import time
from typing import ClassVar

import torch
from pytorch_lightning import Callback


def now():
    """Seconds that count: of this process's CPU, or, where there is a GPU, of the wall."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


class Clock(Callback):
    """Notes the end of each batch in `ends`, which the caller empties."""

    ends: ClassVar[list[float]] = []  # the run makes the instance, the caller reads

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self.ends.append(now())
