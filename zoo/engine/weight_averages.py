"""Moving averages of players: the buffers and the batch norm statistics they are evaluated with."""

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from pytorch_lightning.plugins.layer_sync import TorchSyncBatchNorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.config.errors import UserError
from zoo.engine.conditions import batch_of
from zoo.engine.seeds import reseed

BATCHES, BATCH_SIZE = 20, 64  # of the draws that the statistics are estimated from


class Averages(dict[str, nn.Module]):
    """The moving average of each player, by the player's name.

    An average has buffers of its own. The statistics of its batch norm are estimated from keyed
    draws of the averaged network, because those of the player describe other activations. All its
    other buffers, such as the vectors of spectral norm, are copies of the player's. Both happen
    once per training batch at most, when the averages are put in place of the players.

    Args:
        players: the networks to average, by name.
    """

    def __init__(self, players: dict[str, nn.Module] | None = None):
        super().__init__({name: average_of(player) for name, player in (players or {}).items()})
        self.batch = None  # the training batch that the buffers belong to

    @contextmanager
    def in_place(self, model) -> Iterator[None]:
        """Replaces the players by their averages. Call it without gradients and in eval mode."""
        players = {name: getattr(model, name) for name in self}
        try:
            with torch.inference_mode(False):  # Lightning loads averages before it moves the model
                for name, average in self.items():
                    setattr(model, name, average.to(next(players[name].parameters())))
            batch = model._trainer and model.trainer.global_step
            if self and self.batch != batch:
                self.copy_buffers(players)
                self.estimate_statistics(model)
                self.batch = batch
            yield
        finally:
            for name, player in players.items():
                setattr(model, name, player)

    def state(self, model) -> dict[str, dict[str, Tensor]]:
        """The state of each average with its buffers up to date, for a checkpoint of the model."""
        if not self:
            return {}
        with model.evaluating():
            return {name: average.state_dict() for name, average in self.items()}

    def load(self, model, states: dict[str, dict[str, Tensor]]) -> None:
        """Takes the averages of a checkpoint, as `state` gives them, for Lightning's evaluations.

        In training they belong to callbacks/ema.py.
        """
        if model._trainer is None or model.trainer.state.fn == "fit":
            return
        for name, state in states.items():
            self[name] = average_of(getattr(model, name))
            self[name].load_state_dict(state)
        self.batch = model.trainer.global_step

    def has_statistics(self) -> bool:
        """Whether any average has batch norm with running statistics."""
        return any(batch_norms(average) for average in self.values())

    def copy_buffers(self, players: dict[str, nn.Module]) -> None:
        """Copies the players' buffers, except the statistics of batch norm."""
        for name, average in self.items():
            own = dict(average.named_buffers())
            estimated = {
                id(buffer) for layer in batch_norms(average).values() for buffer in layer.buffers()
            }
            for key, buffer in players[name].named_buffers():
                if id(own[key]) not in estimated:
                    own[key].copy_(buffer)

    def estimate_statistics(self, model) -> None:
        """Estimates the statistics of batch norm by passes of the model with averages in place.

        Only batch norm is in train mode: its statistics have to fit what it is given in evaluation,
        without dropout and with the vectors of spectral norm fixed. Every process draws all
        batches, so that the result does not depend on the number of processes.

        Raises:
            UserError: a layer is not run by the model's `batch_norm_pass`.
        """
        layers = {
            f"{name}.{key}": layer
            for name, average in self.items()
            for key, layer in batch_norms(average).items()
        }
        if not layers:
            return
        with cumulative(layers.values()):
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
                f"norm {unused[0]}, so its statistics for the averaged weights are not known. "
                "Leave this player out of callbacks.ema.players."
            )


def average_of(player: nn.Module) -> nn.Module:
    """A copy of a network with weights and buffers of its own, frozen, in eval mode.

    Its batch norm is never synchronised over processes, because every process draws the same.
    """
    return TorchSyncBatchNorm().revert(copy.deepcopy(player)).requires_grad_(False).eval()


def batch_norms(network: nn.Module) -> dict[str, nn.Module]:
    """The layers of batch norm that have running statistics, by name."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }


@contextmanager
def cumulative(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Layers of batch norm collect the plain mean of the statistics of all batches they see."""
    momenta = {layer: layer.momentum for layer in layers}
    try:
        for layer in momenta:
            layer.reset_running_stats()
            layer.momentum, layer.training = None, True
        yield
    finally:
        for layer, momentum in momenta.items():
            layer.momentum, layer.training = momentum, False
