"""Save the last and the best checkpoint of a run."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning import Trainer, callbacks

from zoo.atomic_files import remove_drafts
from zoo.base import GenerativeModule
from zoo.config.ranges import in_range
from zoo.engine.distributed import on_all_ranks
from zoo.engine.evaluation import check_finite
from zoo.engine.signals import Signals, Stopped
from zoo.metrics.compute import HIGHER_IS_BETTER, UNRANKED
from zoo.runs.checkpoint_io import AtomicCheckpointIO


class Checkpoint(callbacks.Checkpoint):
    """Save best.ckpt, and last.ckpt regularly, on a signal and at the end.

    Both are in the run's folder `checkpoints`. best.ckpt has the best value of the first metric
    val/... whose name starts with `monitor`: the lowest value, or the highest for metrics in
    zoo.metrics.compute.HIGHER_IS_BETTER. Values that are not finite do not count. Files are
    replaced atomically, so a loadable checkpoint always exists. On SIGINT, SIGTERM and
    SIGUSR1 all processes save and stop after the same batch.

    Args:
        every: Save last.ckpt every `every` batches; 0 saves it only at the end.
        monitor: Start of the name of the metric, without val/, that selects best.ckpt; by default
            the first metric that is measured.

    Raises:
        ValueError: There is no such metric, or it has no best value.
        Diverged: In training, weights are not finite; such weights are never saved.
        Stopped: In training, a signal has been received.
    """

    @in_range
    def __init__(self, every: Annotated[int, "[0, inf)"] = 1000, monitor: str | None = None):
        if (monitor or "").startswith(UNRANKED):
            raise ValueError(
                f"callbacks.checkpoint.monitor={monitor} has no best value: choose another metric."
            )
        self.every = every
        self.monitor = monitor
        self.signals = Signals()
        self.batch = 0  # batch of last.ckpt; 0 if there is none

    def setup(self, trainer: Trainer, model: GenerativeModule, stage: str) -> None:
        if stage != "fit":
            return
        self.signals.attach(trainer)
        self.batch = 0
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # keep a plugin of the user
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        if trainer.is_global_zero:
            remove_drafts(checkpoint_folder(trainer))

    def on_train_start(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.monitored(model.results)  # an unknown name is an error before training

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
        if trainer.fit_loop.done:  # before the final measurements, which can take long
            self.save(trainer, model, "last")
            self.signals.end()

    def on_train_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.save(trainer, model, "last")
        self.save_if_best(trainer, model)

    def on_exception(
        self, trainer: Trainer, model: GenerativeModule, exception: BaseException
    ) -> None:
        if isinstance(exception, Stopped) and exception.agreed:
            # The first process that exits ends the others, so wait until all are done.
            trainer.strategy.barrier("callbacks.checkpoint.stopped")

    def save_if_best(self, trainer: Trainer, model: GenerativeModule) -> None:
        """Save best.ckpt if this batch has the best value so far."""
        now = [name for name, of in model.results.items() if trainer.global_step in of]
        name = self.monitored(now)
        if name:
            values = model.results[name]
            best = max if name.removeprefix("val/").startswith(HIGHER_IS_BETTER) else min
            # A comparison with NaN is always false, so one NaN would hide all later values.
            finite = [value for value in values.values() if math.isfinite(value)]
            if finite and values[trainer.global_step] == best(finite):
                self.save(trainer, model, "best")

    def monitored(self, results: Iterable[str]) -> str | None:
        """Return the name of the monitored metric; None if there are no metrics.

        Args:
            results: Names of metrics.

        Raises:
            ValueError: There are metrics, but not the monitored one.
        """
        names = [n for n in results if n.startswith("val/") and not n.startswith("val/real_")]
        found = [name for name in names if name.startswith(f"val/{self.monitor or ''}")]
        if names and not found:
            options = ", ".join(name.removeprefix("val/") for name in names)
            raise ValueError(
                f"callbacks.checkpoint.monitor={self.monitor} is not measured: there are {options}."
            )
        return found[0] if found else None

    def save(self, trainer: Trainer, model: GenerativeModule, name: str) -> None:
        """Write checkpoints/NAME.ckpt. All processes must call it.

        Raises:
            OSError: The first process cannot write it; any error is raised in all processes.
        """
        check_finite(model)

        def write() -> None:
            try:
                trainer.save_checkpoint(checkpoint_folder(trainer) / f"{name}.ckpt")
            except Exception:
                # The other processes wait here.
                trainer.strategy.barrier("Trainer.save_checkpoint")
                raise

        on_all_ranks(write)
        for logger in trainer.loggers if trainer.is_global_zero else ():
            if hasattr(logger, "after_save"):  # zoo.loggers.wandb, to store an artifact
                logger.after_save(checkpoint_folder(trainer))
        if name == "last":
            self.batch = trainer.global_step


def checkpoint_folder(trainer: Trainer) -> Path:
    """Return the folder of a run's checkpoints."""
    return Path(trainer.default_root_dir, "checkpoints")
