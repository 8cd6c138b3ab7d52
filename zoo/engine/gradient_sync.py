"""Multi-GPU training: one all-reduce of the active player's gradients in each turn."""

from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning.strategies import DDPStrategy, StrategyRegistry
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.distributed import all_reduce, broadcast


class TurnStrategy(DDPStrategy):
    """DDP without the wrapper around the model, for models that update one player at a time.

    Weights and buffers are broadcast once. `GenerativeModule.turn` then averages the gradients of
    the active player in one flat all-reduce, before clipping and stepping. W processes with
    batches of N reproduce one process with batches of W * N, whichever players are frozen, and no
    gradients are sent for players that are not updated.
    """

    model: nn.Module

    def configure_ddp(self) -> None:
        """Broadcast the weights and buffers of the first process."""
        for tensor in [*self.model.parameters(), *self.model.buffers()]:
            broadcast(tensor.data, src=0)

    def average_gradients(self, gradients: list[Tensor]) -> None:
        """Average gradients over the processes, in place."""
        if self.world_size == 1 or not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        all_reduce(flat)
        flat /= self.world_size
        means = flat.split([gradient.numel() for gradient in gradients])
        views = [mean.view_as(gradient) for mean, gradient in zip(means, gradients, strict=True)]
        torch._foreach_copy_(gradients, views)


def average_buffers(module: nn.Module, reduce: Callable[[Tensor], Any]) -> None:
    """Average the floating-point buffers of a module over the processes, in place.

    Args:
        module: The module.
        reduce: Returns the mean of a tensor over the processes.
    """
    buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
    if buffers:
        flat = torch.cat([buffer.flatten() for buffer in buffers])
        means = reduce(flat).split([buffer.numel() for buffer in buffers])
        for buffer, mean in zip(buffers, means, strict=True):
            buffer.copy_(mean.view_as(buffer))


def sync_buffers(model: Any) -> None:
    """Average floating-point buffers, such as batch norm statistics, over the processes."""
    if model.trainer.world_size > 1:
        average_buffers(model, model.trainer.strategy.reduce)


def refuse_plain_ddp(strategy: object) -> None:
    """Refuse a strategy that cannot update one player at a time.

    Raises:
        MisconfigurationException: It is DDP without find_unused_parameters.
    """
    exact = hasattr(strategy, "average_gradients") or (
        getattr(strategy, "_ddp_kwargs", {}).get("find_unused_parameters")
    )
    if isinstance(strategy, DDPStrategy) and not exact:
        raise MisconfigurationException(
            "Plain DDP cannot update one player at a time. Use "
            "zoo.engine.gradient_sync.TurnStrategy() "
            "(trainer.strategy=turns), or ddp_find_unused_parameters_true."
        )


StrategyRegistry.register("turns", TurnStrategy, description=TurnStrategy.__doc__)
