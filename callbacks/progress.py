"""What the terminal shows while a model trains."""

import time
from itertools import islice
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from zoo.base import GenerativeModule

ROOM = 3  # results in a line, those measured first; the summary and the log have all
REAL = "val/real_"  # results of real images do not change: they are in the summary and the log


class Progress(ProgressBar):
    """One bar over all batches with the latest losses and results; lines where no terminal is."""

    def __init__(self):
        super().__init__()
        self.bar = None
        self.enabled = True
        self.console = Console()
        self.shown = 0.0

    def disable(self):
        self.enabled = False

    def enable(self):
        self.enabled = True

    def on_train_start(self, trainer: Trainer, model: GenerativeModule) -> None:
        if not (self.enabled and trainer.is_global_zero):
            return
        limits = [trainer.max_steps, (trainer.max_epochs or -1) * trainer.num_training_batches]
        self.total = min((limit for limit in limits if limit > 0), default=None)
        columns = [MofNCompleteColumn(), BarColumn(), TimeRemainingColumn()]
        columns += [TextColumn("{task.description}")]
        self.bar = Bar(*columns, console=self.console, disable=not self.console.is_terminal)
        self.task = self.bar.add_task("", total=self.total, completed=trainer.global_step)
        self.bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, model: GenerativeModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.bar is None or time.monotonic() - self.shown < self.interval:
            return
        self.shown = time.monotonic()
        text = self.numbers(model)
        self.bar.update(self.task, completed=trainer.global_step, description=text)
        if not self.console.is_terminal:
            self.console.print(f"{trainer.global_step}/{self.total or '?'} {text}", soft_wrap=True)

    @property
    def interval(self):
        """Seconds between two updates."""
        return 0.1 if self.console.is_terminal else 10

    def numbers(self, model: GenerativeModule):
        """'critic_loss -0.012 generator_loss 0.3 fid_digits_2k 1.9'"""
        selecting = {
            name.removeprefix("val/"): list(values.values())[-1]
            for name, values in model.results.items()
            if name.startswith("val/") and not name.startswith(REAL)
        }
        results = dict(islice(selecting.items(), ROOM))
        numbers = model.losses | results
        return " ".join(f"{name} {value:.3g}" for name, value in numbers.items())

    def on_train_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.stop(trainer)

    def on_exception(
        self, trainer: Trainer, model: GenerativeModule, exception: BaseException
    ) -> None:
        self.stop(trainer)

    def stop(self, trainer: Trainer):
        if self.bar is not None:
            self.bar.update(self.task, completed=trainer.global_step)
            self.bar.stop()
            self.bar = None
