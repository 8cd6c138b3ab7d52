"""What can be resumed: the last state and the best one."""

import os
import signal
import threading
from pathlib import Path

from pytorch_lightning import callbacks
from pytorch_lightning.utilities.exceptions import SIGTERMException

from zoo.metrics.measure import RISING, UNRANKED


class Checkpoint(callbacks.Checkpoint):
    """checkpoints/last.ckpt every so many batches, at the end and when interrupted; best.ckpt.

    The best is that of the first result whose name begins with `monitor`, by default of the first
    that is measured: the lowest, or, of those in zoo.metrics.measure.RISING, the highest. A file is
    replaced in one move, so a loadable one is there at any moment; weights that are not finite are
    never saved (Diverged).
    """

    def __init__(self, every: int = 1000, monitor: str | None = None):
        if (monitor or "").startswith(UNRANKED):
            raise ValueError(f"callbacks.checkpoint.monitor={monitor} has no best: take another.")
        self.every = every
        self.monitor = monitor
        self.interrupted = False
        self.handler = None

    def on_train_start(self, trainer, model):
        self.watched(model.results)  # before training, if there are results already
        # Ctrl-C waits for the end of the batch; a second one does not. It reaches processes at
        # different batches, so only a lone process can save then.
        if trainer.world_size == 1 and threading.current_thread() is threading.main_thread():
            self.handler = signal.signal(signal.SIGINT, self.interrupt)

    def interrupt(self, number, frame):
        self.interrupted = True
        self.restore_handler()

    def restore_handler(self):
        if self.handler is not None:
            signal.signal(signal.SIGINT, self.handler)
            self.handler = None

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if self.interrupted or (self.every and trainer.global_step % self.every == 0):
            self.save(trainer, model, "last")
        self.save_if_best(trainer, model)
        if self.interrupted:
            raise KeyboardInterrupt

    def on_train_end(self, trainer, model):
        self.restore_handler()
        self.save(trainer, model, "last")
        self.save_if_best(trainer, model)

    def on_exception(self, trainer, model, exception):
        self.restore_handler()
        if isinstance(exception, SIGTERMException):  # between two batches, on all processes
            self.save(trainer, model, "last")

    def save_if_best(self, trainer, model):
        now = [name for name, of in model.results.items() if trainer.global_step in of]
        name = self.watched(now)
        if name:
            values = model.results[name]
            best = max if name.startswith(RISING) else min
            if values[trainer.global_step] == best(values.values()):
                self.save(trainer, model, "best")

    def watched(self, results):
        """The name of the result that decides; ValueError if there are results, but not that."""
        names = [name for name in results if not name.startswith("real_")]
        found = [name for name in names if name.startswith(self.monitor or "")]
        if names and not found:
            raise ValueError(
                f"callbacks.checkpoint.monitor={self.monitor}: there are {', '.join(names)}."
            )
        return found[0] if found else None

    def save(self, trainer, model, name):
        """Writes checkpoints/<name>.ckpt, on every process's call."""
        model.check_finite()
        file = Path(trainer.default_root_dir, "checkpoints", f"{name}.ckpt")
        draft = file.with_suffix(".draft")
        trainer.save_checkpoint(draft)
        if trainer.is_global_zero:
            os.replace(draft, file)
