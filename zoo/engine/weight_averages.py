"""Moving averages of players' weights, with buffers and batch norm statistics of their own."""

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from pytorch_lightning.plugins.layer_sync import TorchSyncBatchNorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.config.errors import UserError
from zoo.engine.conditions import batch_of
from zoo.engine.seeds import reseed

BATCHES, BATCH_SIZE = 20, 64  # from which batch norm statistics are estimated


class Averages(dict[str, nn.Module]):
    """{name of a player: its moving average}.

    An average has buffers of its own. Its batch norm statistics are estimated from keyed samples of
    the averaged network, because the player's statistics describe other activations. All other
    buffers, such as the vectors of spectral norm, are copied from the player. This happens when
    the averages replace the players, at most once per training batch.

    The weights of an average have at least 32 bits, because half precision would round small
    updates away. They are rounded to the player's type only while they replace the player's.

    Args:
        players: {name: network} to average.
    """

    def __init__(self, players: dict[str, nn.Module] | None = None):
        super().__init__({name: average_of(player) for name, player in (players or {}).items()})
        self.batch: int | None = None  # the training batch that the buffers belong to

    @contextmanager
    def in_place(self, model: Any) -> Iterator[None]:
        """Replace the players by their averages. Call it without gradients and in eval mode."""
        players = {name: getattr(model, name) for name in self}
        exact: list[tuple[Tensor, Tensor]] = []  # each weight and its values before rounding
        try:
            with torch.inference_mode(False):  # Lightning loads averages before it moves the model
                for name, average in self.items():
                    like = next(players[name].parameters())
                    average.to(like.device)
                    exact += [(weight, weight.data) for weight in average.parameters()]
                    setattr(model, name, average.to(like.dtype))
            batch = model._trainer and model.trainer.global_step
            if self and self.batch != batch:
                self.copy_buffers(players)
                self.estimate_statistics(model)
                self.batch = batch
            yield
        finally:
            for name, player in players.items():
                setattr(model, name, player)
            for weight, values in exact:
                weight.data = values

    def state(self, model: Any) -> dict[str, dict[str, Tensor]]:
        """Return the state of each average, with up-to-date buffers, for a checkpoint."""
        if not self:
            return {}
        with model.evaluating():
            pass
        return {name: average.state_dict() for name, average in self.items()}

    def load(self, model: Any, states: dict[str, dict[str, Tensor]]) -> None:
        """Load the averages of a checkpoint for Lightning's evaluations.

        In training, callbacks/ema.py loads them.

        Args:
            model: The model.
            states: What `state` returned.
        """
        if model._trainer is None or model.trainer.state.fn == "fit":
            return
        for name, state in states.items():
            self[name] = average_of(getattr(model, name))
            self[name].load_state_dict(state)
        self.batch = model.trainer.global_step

    def has_statistics(self) -> bool:
        """Return whether any average has batch norm with running statistics."""
        return any(batch_norms(average) for average in self.values())

    def copy_buffers(self, players: dict[str, nn.Module]) -> None:
        """Copy the players' buffers, except batch norm statistics."""
        for name, average in self.items():
            own = dict(average.named_buffers())
            estimated = {
                id(buffer) for layer in batch_norms(average).values() for buffer in layer.buffers()
            }
            for key, buffer in players[name].named_buffers():
                if id(own[key]) not in estimated:
                    own[key].copy_(buffer)

    def estimate_statistics(self, model: Any) -> None:
        """Estimate batch norm statistics by passes of the model with averages in place.

        Only batch norm is in train mode, because its statistics must match its inputs in
        evaluation: without dropout, and with the vectors of spectral norm fixed. Every process
        draws all batches, so that the result does not depend on the number of processes.

        Raises:
            UserError: The model's `batch_norm_pass` does not run a layer.
        """
        layers = {
            f"{name}.{key}": layer
            for name, average in self.items()
            for key, layer in batch_norms(average).items()
        }
        if not layers:
            return
        with cumulative_statistics(layers.values()):
            for index in range(BATCHES):
                reseed(model.device, "batch norm", index)
                start = index * BATCH_SIZE
                data = model.trainer.datamodule
                training_batch = partial(batch_of, model, data, "train", BATCH_SIZE, start)
                model.batch_norm_pass(BATCH_SIZE, training_batch)
        unused = [name for name, layer in layers.items() if not layer.num_batches_tracked]
        if unused:
            raise UserError(
                f"callbacks.ema: {type(model).__name__}.batch_norm_pass does not run the batch "
                f"norm {unused[0]}, so its statistics cannot be estimated. "
                "Leave this player out of callbacks.ema.players."
            )


def average_of(player: nn.Module) -> nn.Module:
    """Copy a network, freeze the copy, put it in eval mode and give its weights 32 bits or more.

    Its batch norm is not synchronized over processes, because every process draws the same batches.
    """
    average = TorchSyncBatchNorm().revert(copy.deepcopy(player)).requires_grad_(False).eval()
    for weight in average.parameters():
        weight.data = weight.data.to(torch.promote_types(weight.dtype, torch.float32))
    return average


def batch_norms(network: nn.Module) -> dict[str, _BatchNorm]:
    """Return {name: layer} of the batch norm layers that have running statistics."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }


@contextmanager
def cumulative_statistics(layers: Iterable[_BatchNorm]) -> Iterator[None]:
    """Let batch norm layers compute the plain mean of their statistics over the batches."""
    momenta = {layer: layer.momentum for layer in layers}
    try:
        for layer in momenta:
            layer.reset_running_stats()
            layer.momentum, layer.training = None, True
        yield
    finally:
        for layer, momentum in momenta.items():
            layer.momentum, layer.training = momentum, False
