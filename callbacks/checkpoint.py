"""What can be resumed: the last state and the best one."""

import os
import signal
import threading
from pathlib import Path

from pytorch_lightning import callbacks
from pytorch_lightning.utilities.exceptions import SIGTERMException


class Checkpoint(callbacks.Checkpoint):
    """checkpoints/last.ckpt every so many batches, at the end and when interrupted; best.ckpt.

    The best is the one at which the first result whose name begins with `monitor` was lowest. A
    file is replaced in one move, so a loadable one is there at any moment; weights that are not
    finite are never saved (Diverged).
    """

    def __init__(self, every: int = 1000, monitor: str = "fid"):
        self.every = every
        self.monitor = monitor
        self.interrupted = False
        self.handler = None

    def on_train_start(self, trainer, model):
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
        watched = [name for name in model.results if name.startswith(self.monitor)]
        if watched:
            values = model.results[watched[0]]
            if values.get(trainer.global_step) == min(values.values()):
                self.save(trainer, model, "best")

    def save(self, trainer, model, name):
        """Writes checkpoints/<name>.ckpt, on every process's call."""
        model.check_finite()
        file = Path(trainer.default_root_dir, "checkpoints", f"{name}.ckpt")
        draft = file.with_suffix(".draft")
        trainer.save_checkpoint(draft)
        if trainer.is_global_zero:
            os.replace(draft, file)
