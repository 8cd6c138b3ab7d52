"""Optimizer steps of one player at a time, and the one clock that counts batches."""

from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.utilities import rank_zero_warn
from torch import nn
from torch.optim import Optimizer


def count_batch(trainer: Trainer) -> None:
    """Advance `trainer.global_step` by one, the number of training batches begun.

    Lightning would count the steps of all optimizers.
    """
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    progress.increment_ready()
    progress.increment_completed()


def step(model: Any, optimizer: LightningOptimizer) -> None:
    """Average a player's gradients over batches and processes, step, and step its schedule."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    gradients = [p.grad for p in parameters if p.grad is not None]
    if model.hparams.accumulate > 1:
        torch._foreach_div_(gradients, model.hparams.accumulate)
    if hasattr(model.trainer.strategy, "average_gradients"):
        model.trainer.strategy.average_gradients(gradients)
    # Lightning would count this step, but `count_batch` counts batches.
    optimizer._on_before_step = optimizer._on_after_step = lambda: None
    optimizer.step()
    for config in model.trainer.lr_scheduler_configs:
        if config.scheduler.optimizer is optimizer.optimizer:
            config.scheduler.step()


def optimizer_of(trainer: Trainer, player: nn.Module) -> Optimizer | None:
    """Return the optimizer that updates a network; None if none does or it has no parameters."""
    first = next(player.parameters(), None)
    for optimizer in trainer.optimizers:
        if any(first is p for group in optimizer.param_groups for p in group["params"]):
            return optimizer
    return None


def warn_of_early_end(model: Any, name: str) -> None:
    """Warn if training ends within its first hparams[name] batches, a phase of its own."""
    limit, first = model.trainer.max_steps, model.hparams[name] * model.hparams.accumulate
    if 0 < limit <= first:
        rank_zero_warn(
            f"The first {first} batches train one part of the model (model.{name}). "
            f"trainer.max_steps={limit} ends training before the others start."
        )
