"""Exponential moving averages of players' weights."""

import copy

import torch
from pytorch_lightning import Callback


class EMA(Callback):
    """Averages the weights of named players, updated whenever their optimizer steps.

    average = decay * average + (1 - decay) * weight. Evaluation uses the averages (see
    `GenerativeModule.evaluating`), and checkpoints hold them. An average shares the buffers of its
    player, such as the statistics of batch norm.
    """

    def __init__(self, decay: float = 0.999, players: tuple[str, ...] = ("generator",)):
        if not 0 <= decay < 1:
            raise ValueError(f"callbacks.ema.decay={decay} must be at least 0 and less than 1.")
        self.decay = decay
        self.players = tuple(players)
        self.averages = {}
        self.saved = {}

    def setup(self, trainer, model, stage):
        for name in self.players:
            if not isinstance(getattr(model, name, None), torch.nn.Module):
                known = ", ".join(name for name, _ in model.named_children())
                raise ValueError(f"callbacks.ema.players: no player {name}. There are: {known}.")

    def on_fit_start(self, trainer, model):
        self.averages = {name: average_of(getattr(model, name)) for name in self.players}
        for name in self.averages.keys() & self.saved.keys():
            self.averages[name].load_state_dict(self.saved[name])
        model.averages = self.averages

    def on_train_start(self, trainer, model):
        for name, average in self.averages.items():
            player = getattr(model, name)
            optimizer = model.optimizer_of(player)
            if optimizer is not None:
                optimizer.register_step_post_hook(self.update(average, list(player.parameters())))

    def update(self, average, player):
        """The optimizer's hook that moves an average towards its player's parameters."""
        weights = list(average.parameters())

        @torch.no_grad()
        def move(optimizer, args, kwargs):
            torch._foreach_lerp_(weights, player, 1 - self.decay)

        return move

    def on_load_checkpoint(self, trainer, model, checkpoint):
        self.saved = checkpoint["zoo"]["averages"]


def average_of(player):
    """A copy of a module with weights of its own, frozen, in eval mode, sharing the buffers."""
    shared = {id(buffer): buffer for buffer in player.buffers()}
    return copy.deepcopy(player, shared).requires_grad_(False).eval()
