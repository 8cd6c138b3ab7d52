"""What a run was and what it reached."""

import json
import shlex
import sys
import time
from pathlib import Path

from pytorch_lightning import Callback, Trainer
from rich.console import Console

from callbacks.checkpoint import Checkpoint
from zoo.atomic_files import write_text
from zoo.base import GenerativeModule
from zoo.engine.signals import Stopped
from zoo.runs.limits import duration, timer_of


class Summary(Callback):
    """summary.json in the run's folder, also when it was stopped; at the end, where everything is.

    `batches` is the batch of checkpoints/last.ckpt, 0 before there is one, and no metric is of a
    later batch; `reached` is the last batch that was trained. Without the callback checkpoint they
    are the same.
    """

    def __init__(self):
        self.first = None  # the batches before this run, in those that it resumes
        self.started = time.monotonic()

    def on_train_start(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.first = trainer.global_step
        self.started = time.monotonic()

    def on_fit_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.write(trainer, model, "finished")

    def on_exception(
        self, trainer: Trainer, model: GenerativeModule, exception: BaseException
    ) -> None:
        if self.first is None or trainer.global_step == self.first:
            return  # nothing was reached
        if isinstance(exception, Stopped):
            reason = f"stopped by {exception.signal.name}"
        else:
            reason = f"stopped by {type(exception).__name__}: {exception}".rstrip(": ")
        try:
            self.write(trainer, model, reason)
        except OSError as error:  # the exception is what matters
            print(f"summary.json could not be written: {error}", file=sys.stderr)

    def write(self, trainer: Trainer, model: GenerativeModule, status):
        if not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir)
        summary = self.summary(trainer, model) | {"status": status}
        write_text(folder / "summary.json", json.dumps(summary, indent=2))
        longer = ""  # the limit that ended the run, doubled
        if trainer.global_step == trainer.max_steps:
            longer = f" trainer.max_steps={2 * trainer.max_steps}"
        elif trainer.current_epoch == trainer.max_epochs:
            longer = f" trainer.max_epochs={2 * trainer.max_epochs}"
        elif (timer := timer_of(trainer)) and (timer.time_remaining() or 0) <= 0:
            longer = f" trainer.max_time={duration(2 * timer.time_elapsed())}"
        report(summary, folder, longer)

    def summary(self, trainer: Trainer, model: GenerativeModule):
        """The content of summary.json."""
        saving = [c.batch for c in trainer.callbacks if isinstance(c, Checkpoint)]
        held = min([trainer.global_step, *saving])
        results = {
            name: {
                batch: value
                for batch, value in values.items()
                # A report is of the model it was made of, not of what training made of it later.
                if batch == held or (batch < held and not name.startswith("test/"))
            }
            for name, values in model.results.items()
        }
        checkpoints = Path(trainer.default_root_dir, "checkpoints")
        return {
            "model": type(model).__module__.rpartition(".")[2],
            "data": getattr(trainer.datamodule, "name", "own data"),
            "class_names": list(getattr(trainer.datamodule, "class_names", ())),
            "seed": model.seed,
            "batches": held,
            "reached": trainer.global_step,
            "seconds": round(time.monotonic() - self.started, 2),
            "device": str(model.device),
            "processes": trainer.world_size,
            "metrics": {
                name: summarize_values(values) for name, values in results.items() if values
            },
            "checkpoints": [str(file) for file in sorted(checkpoints.glob("*.ckpt"))],
        }


def summarize_values(values):
    """First, last, lowest and highest of {batch: value}, with the batches of these two."""
    low, high = min(values, key=values.get), max(values, key=values.get)
    first, *_, last = [*values.values()] * 2
    return {
        "first": first,
        "last": last,
        "lowest": values[low],
        "lowest_batch": low,
        "highest": values[high],
        "highest_batch": high,
    }


def report(summary, folder: Path, longer):
    """Prints where everything is, what was reached and how to go on, with the setting for more."""
    print = Console(highlight=False, markup=False, soft_wrap=True).print
    print(
        f"\n{summary['model']} on {summary['data']}: {summary['status']} after "
        f"{summary['reached']} batches in {summary['seconds']:.0f} s on {summary['device']}"
    )
    if summary["batches"] < summary["reached"]:
        print(f"  the last checkpoint is of batch {summary['batches']}")
    for name, values in summary["metrics"].items():
        course = f"{values['first']:.4g}"
        if values["last"] != values["first"]:
            course += f" -> {values['last']:.4g} (lowest {values['lowest']:.4g} at batch "
            course += f"{values['lowest_batch']}, highest {values['highest']:.4g} at batch "
            course += f"{values['highest_batch']})"
        print(f"  {name:<20} {course}")
    figures = sorted((folder / "samples").glob(f"{summary['batches']:07d}*.png"))
    places = {"samples": figures, "checkpoints": summary["checkpoints"], "folder": [folder]}
    for name, files in places.items():
        if files:
            print(f"  {name:<20} {' '.join(str(file) for file in files)}")
    if summary["checkpoints"]:
        place = shlex.quote(str(folder))
        print(f"\npython -m zoo.sample checkpoint={place}")
        print(f"python -m zoo.evaluate checkpoint={place}")
        print(f"python -m zoo.fit resume={place}{longer}")
