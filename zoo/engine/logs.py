"""Logging to the loggers, and to the metrics that Lightning's own callbacks read."""

import math
from typing import Any

import torch
from torch import Tensor

from zoo.config.errors import Diverged


def is_due(trainer: Any) -> bool:
    """Return whether losses are logged in this batch."""
    cadence = trainer.log_every_n_steps
    return bool(cadence) and trainer.global_step % cadence == 0


def write(trainer: Any, stage: str, numbers: dict[str, float]) -> None:
    """Log numbers as <stage>/<name> at this step.

    `trainer.callback_metrics` and `trainer.logged_metrics` keep the latest value of each, for
    Lightning's ModelCheckpoint(monitor=...) and EarlyStopping.

    Args:
        trainer: The Trainer.
        stage: train, val or test.
        numbers: {name: number}.
    """
    # Not self.log: it repeats a loss of an earlier step on every step until the epoch ends.
    named = {f"{stage}/{name}": number for name, number in numbers.items()}
    values = {name: torch.tensor(number, dtype=torch.float64) for name, number in named.items()}
    trainer.callback_metrics.update(values)
    trainer.logged_metrics.update(values)
    for logger in trainer.loggers:
        logger.log_metrics(named, step=trainer.global_step)
        logger.save()


def write_losses(trainer: Any, losses: dict[str, Tensor]) -> dict[str, float]:
    """Log scalars as train/<name>, averaged over the processes.

    Args:
        trainer: The Trainer.
        losses: {name: scalar}.

    Returns:
        {name: mean}.

    Raises:
        Diverged: A mean is not finite.
    """
    values = torch.stack([loss.detach().float() for loss in losses.values()])
    means = trainer.strategy.reduce(values).tolist()  # the one synchronization with the device
    numbers = dict(zip(losses, means, strict=True))
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise Diverged(f"{name} is {value} at batch {trainer.global_step}")
    write(trainer, "train", numbers)
    return numbers
