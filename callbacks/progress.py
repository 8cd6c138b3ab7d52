"""Show the progress of training in the terminal."""

import time
from itertools import islice
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from zoo.base import GenerativeModule

ROOM = 3  # number of metrics in a line; the summary and the log have all
REAL = "val/real_"  # metrics of real images are left out, because they do not change


class Progress(ProgressBar):
    """Show losses and metrics in a progress bar, or in plain lines if there is no terminal."""

    def __init__(self):
        super().__init__()
        self.bar: Bar | None = None
        self.enabled = True
        self.console = Console()
        self.updated = 0.0  # time of the latest update

    def disable(self) -> None:
        self.enabled = False

    def enable(self) -> None:
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
        if self.bar is None or time.monotonic() - self.updated < self.interval:
            return
        self.updated = time.monotonic()
        text = self.numbers(model)
        self.bar.update(self.task, completed=trainer.global_step, description=text)
        if not self.console.is_terminal:
            self.console.print(f"{trainer.global_step}/{self.total or '?'} {text}", soft_wrap=True)

    @property
    def interval(self) -> float:
        """Seconds between two updates."""
        return 0.1 if self.console.is_terminal else 10

    def numbers(self, model: GenerativeModule) -> str:
        """Format losses and metrics: 'critic_loss -0.012 generator_loss 0.3 fid_digits_2k 1.9'."""
        metrics = {
            name.removeprefix("val/"): list(values.values())[-1]
            for name, values in model.results.items()
            if name.startswith("val/") and not name.startswith(REAL)
        }
        numbers = model.losses | dict(islice(metrics.items(), ROOM))
        return " ".join(f"{name} {value:.3g}" for name, value in numbers.items())

    def on_train_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.stop(trainer)

    def on_exception(
        self, trainer: Trainer, model: GenerativeModule, exception: BaseException
    ) -> None:
        self.stop(trainer)

    def stop(self, trainer: Trainer) -> None:
        """Show the last batch and end the bar."""
        if self.bar is not None:
            self.bar.update(self.task, completed=trainer.global_step)
            self.bar.stop()
            self.bar = None
