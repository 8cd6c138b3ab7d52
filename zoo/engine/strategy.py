"""Many processes: one all-reduce of the moving player's gradients in each turn."""

import torch
from pytorch_lightning.strategies import DDPStrategy, StrategyRegistry
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch.distributed import all_reduce, broadcast


class TurnStrategy(DDPStrategy):
    """DDP's processes without its wrapper.

    Weights and buffers are broadcast once; `GenerativeModule.turn` then averages the gradients of
    the player that moves, in one flat all-reduce before clipping and stepping. This equals one
    process with the whole batch, whichever players are frozen and however often backward is
    called, and sends no zeros for the players that rest.
    """

    def configure_ddp(self):
        for tensor in [*self.model.parameters(), *self.model.buffers()]:
            broadcast(tensor.data, src=0)

    def average_gradients(self, gradients):
        """Replaces the gradients by their means over the processes, in place."""
        if self.world_size == 1 or not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        all_reduce(flat)
        flat /= self.world_size
        means = flat.split([gradient.numel() for gradient in gradients])
        views = [mean.view_as(gradient) for mean, gradient in zip(means, gradients, strict=True)]
        torch._foreach_copy_(gradients, views)


def average_buffers(module, reduce):
    """Replaces floating-point buffers by their means over the processes, in place.

    reduce: the mean of a tensor over the processes.
    """
    buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
    if buffers:
        flat = torch.cat([buffer.flatten() for buffer in buffers])
        means = reduce(flat).split([buffer.numel() for buffer in buffers])
        for buffer, mean in zip(buffers, means, strict=True):
            buffer.copy_(mean.view_as(buffer))


def sync_buffers(model):
    """Averages floating-point buffers (batch norm's statistics) over the processes, in place."""
    if model.trainer.world_size > 1:
        average_buffers(model, model.trainer.strategy.reduce)


def refuse_plain_ddp(strategy):
    """Raises MisconfigurationException for a strategy that cannot train players in turns."""
    exact = hasattr(strategy, "average_gradients") or (
        getattr(strategy, "_ddp_kwargs", {}).get("find_unused_parameters")
    )
    if isinstance(strategy, DDPStrategy) and not exact:
        raise MisconfigurationException(
            "Plain DDP cannot train players in turns. Use zoo.engine.strategy.TurnStrategy() "
            "(trainer.strategy=turns), or ddp_find_unused_parameters_true."
        )


StrategyRegistry.register("turns", TurnStrategy, description=TurnStrategy.__doc__)
