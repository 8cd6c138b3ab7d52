"""What can be resumed: the last state and the best one."""

import os
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

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if self.every and trainer.global_step % self.every == 0:
            self.save(trainer, model, "last")
        self.save_if_best(trainer, model)

    def on_train_end(self, trainer, model):
        self.save(trainer, model, "last")
        self.save_if_best(trainer, model)

    def on_exception(self, trainer, model, exception):
        # Ctrl-C reaches processes at different moments, so only a lone one saves then.
        lone_interrupt = isinstance(exception, KeyboardInterrupt) and trainer.world_size == 1
        if (lone_interrupt or isinstance(exception, SIGTERMException)) and trainer.global_step:
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
