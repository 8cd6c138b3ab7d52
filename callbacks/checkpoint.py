"""What can be resumed: the last state and the best one."""

from pathlib import Path
from typing import Annotated, Any

from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning import Trainer, callbacks

from zoo.atomic_files import remove_drafts
from zoo.base import GenerativeModule
from zoo.config.ranges import in_range
from zoo.engine.evaluation import check_finite
from zoo.engine.signals import Signals, Stopped
from zoo.metrics.compute import HIGHER_IS_BETTER, UNRANKED
from zoo.runs.checkpoint_io import AtomicCheckpointIO


class Checkpoint(callbacks.Checkpoint):
    """checkpoints/last.ckpt every so many batches, at the end and on a signal; best.ckpt.

    The best is that of the first result in training, val/..., whose name begins with `monitor`, by
    default of the first that is measured: the lowest, or the highest of those in
    zoo.metrics.compute.HIGHER_IS_BETTER. A file is replaced in one move, so a loadable one is there
    at any moment; weights that are not finite are never saved (Diverged). On SIGINT, SIGTERM and
    SIGUSR1 all processes save and stop at the end of the same batch (Stopped).
    """

    @in_range
    def __init__(self, every: Annotated[int, "[0, inf)"] = 1000, monitor: str | None = None):
        if (monitor or "").startswith(UNRANKED):
            raise ValueError(f"callbacks.checkpoint.monitor={monitor} has no best: take another.")
        self.every = every
        self.monitor = monitor
        self.signals = Signals()
        self.batch = 0  # the batch of last.ckpt; 0 before there is one

    def setup(self, trainer: Trainer, model: GenerativeModule, stage: str) -> None:
        if stage != "fit":
            return
        self.signals.attach(trainer)
        self.batch = 0
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # not one of the user's
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        if trainer.is_global_zero:
            remove_drafts(checkpoint_folder(trainer))

    def on_train_start(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.watched(model.results)  # before training, if there are results already

    def on_train_batch_start(
        self, trainer: Trainer, model: GenerativeModule, batch: Any, batch_idx: int
    ) -> None:
        self.signals.begin_batch()

    def on_train_batch_end(
        self, trainer: Trainer, model: GenerativeModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        number = self.signals.agreed()
        if number or (self.every and trainer.global_step % self.every == 0):
            self.save(trainer, model, "last")
        self.save_if_best(trainer, model)
        if number:
            raise Stopped(number, agreed=True)

    def on_train_epoch_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        if trainer.fit_loop.done:  # before the final measurements, which may take long
            self.save(trainer, model, "last")
            self.signals.end()

    def on_train_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.save(trainer, model, "last")
        self.save_if_best(trainer, model)

    def on_exception(
        self, trainer: Trainer, model: GenerativeModule, exception: BaseException
    ) -> None:
        if isinstance(exception, Stopped) and exception.agreed:
            # Whoever ends first would end the others, too: not before the summary is written.
            trainer.strategy.barrier("callbacks.checkpoint.stopped")

    def save_if_best(self, trainer: Trainer, model: GenerativeModule):
        now = [name for name, of in model.results.items() if trainer.global_step in of]
        name = self.watched(now)
        if name:
            values = model.results[name]
            best = max if name.removeprefix("val/").startswith(HIGHER_IS_BETTER) else min
            if values[trainer.global_step] == best(values.values()):
                self.save(trainer, model, "best")

    def watched(self, results):
        """The name of the result that decides; ValueError if there are results, but not that."""
        names = [n for n in results if n.startswith("val/") and not n.startswith("val/real_")]
        found = [name for name in names if name.startswith(f"val/{self.monitor or ''}")]
        if names and not found:
            known = ", ".join(name.removeprefix("val/") for name in names)
            raise ValueError(f"callbacks.checkpoint.monitor={self.monitor}: there are {known}.")
        return found[0] if found else None

    def save(self, trainer: Trainer, model: GenerativeModule, name: str):
        """Writes checkpoints/<name>.ckpt, on every process's call; OSError, on every process, if
        the first one cannot."""
        check_finite(model)
        failure = None
        try:
            trainer.save_checkpoint(checkpoint_folder(trainer) / f"{name}.ckpt")
        except OSError as error:
            failure = error
            trainer.strategy.barrier("Trainer.save_checkpoint")  # the others wait there
        failure = trainer.strategy.broadcast(failure)
        if failure is not None:
            raise failure
        if name == "last":
            self.batch = trainer.global_step


def checkpoint_folder(trainer: Trainer):
    """The folder of a run's checkpoints."""
    return Path(trainer.default_root_dir, "checkpoints")
