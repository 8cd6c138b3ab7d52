"""The limits of a run: batches, epochs and time, and whether an earlier run has reached them."""

import json
import math
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Timer

from zoo.config.errors import UserError


def check_limits(checkpoint: Path, content: dict[str, Any], trainer: Trainer) -> None:
    """Check that a checkpoint has not reached the limits of the run that resumes from it.

    A run that reached them without its final metrics may resume, to compute these.

    Args:
        checkpoint: The file.
        content: Its content. See zoo.runs.loaded_checkpoint.read_lightning.
        trainer: The Trainer of the new run.

    Raises:
        UserError: A limit is reached.
    """
    for name, seen in (("max_steps", content["batches"]), ("max_epochs", content["epochs"])):
        most = getattr(trainer, name) or -1
        if 0 <= most < seen or (most == seen and finished(checkpoint, content["batches"])):
            raise UserError(
                f"{checkpoint} was trained for {content['batches']} batches already. To continue, "
                f"raise trainer.{name}, now {most}."
            )
    timer, seconds = timer_of(trainer), content["run"]["seconds"]
    limit = None if timer is None else timer.time_remaining()
    if limit is not None and limit <= seconds and finished(checkpoint, content["batches"]):
        raise UserError(
            f"{checkpoint} was trained for {seconds:.0f} s already. To continue, raise "
            f"trainer.max_time, now {duration(limit)}."
        )


def timer_of(trainer: Any) -> Timer | None:
    """Return the callback that enforces trainer.max_time; None without that limit."""
    return next((c for c in trainer.callbacks if isinstance(c, Timer)), None)


def duration(seconds: float) -> str:
    """Format a time like trainer.max_time: DAYS:HOURS:MINUTES:SECONDS."""
    minutes, seconds = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours // 24:02}:{hours % 24:02}:{minutes:02}:{seconds:02}"


def finished(checkpoint: Path, batches: int) -> bool:
    """Return whether the run of a checkpoint finished after so many batches, with its metrics."""
    try:
        summary = json.loads((checkpoint.parent.parent / "summary.json").read_text())
        return (summary["status"], summary["batches"]) == ("finished", batches)
    except (OSError, ValueError, KeyError):
        return False


def finish_without_batches(trainer: Trainer) -> None:
    """Let a resumed run that was killed after its last batch compute its metrics and save.

    Lightning's loop would return at once, without calling `on_train_end`.
    """
    loop = trainer.fit_loop
    loop.__class__ = type("FinishingLoop", (type(loop),), {"skip": False})
