"""Exponential moving averages of players' weights."""

from collections.abc import Callable
from typing import Annotated, Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.base import GenerativeModule
from zoo.config.ranges import in_range
from zoo.engine.stepping import optimizer_of
from zoo.engine.weight_averages import Averages


class EMA(Callback):
    """Averages the weights of named players, updated whenever their optimizer steps.

    average = d * average + (1 - d) * weight, d = min(decay, (1 + t) / (10 + t)) at the player's
    t-th step since averaging began: without the warm-up, a decay of 0.999 would leave 37% of the
    initial weights after 1,000 steps. Evaluation uses the averages (see
    `GenerativeModule.evaluating`), and checkpoints hold them. Their batch norm has statistics of
    its own (see zoo/engine/weight_averages.py).

    Args:
        decay: the largest d, at least 0 and less than 1.
        players: names of the networks to average.

    Raises:
        ValueError: the decay is out of range, or there is no such player.
    """

    @in_range
    def __init__(
        self, decay: Annotated[float, "[0, 1)"] = 0.999, players: tuple[str, ...] = ("generator",)
    ):
        self.decay = decay
        self.players = tuple(players)
        self.averages = Averages()
        self.steps: dict[str, int] = {}  # of each player, since averaging began
        self.saved: dict[str, dict] = {}

    def setup(self, trainer: Trainer, model: GenerativeModule, stage: str) -> None:
        self.steps, self.saved = {}, {}  # a checkpoint's are loaded after this
        for name in self.players:
            if not isinstance(getattr(model, name, None), torch.nn.Module):
                known = ", ".join(name for name, _ in model.named_children())
                raise ValueError(f"callbacks.ema.players: no player {name}. There are: {known}.")

    def on_fit_start(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.averages = Averages({name: getattr(model, name) for name in self.players})
        for name in self.averages.keys() & self.saved.keys():
            self.averages[name].load_state_dict(self.saved[name])
        model.averages = self.averages

    def on_train_start(self, trainer: Trainer, model: GenerativeModule) -> None:
        for name, average in self.averages.items():
            player = getattr(model, name)
            optimizer = optimizer_of(model.trainer, player)
            if optimizer is not None:
                update = self.update(name, average, list(player.parameters()))
                optimizer.register_step_post_hook(update)
        if self.averages.has_statistics():
            with model.evaluating():  # statistics that cannot be estimated are refused before work
                pass

    def update(
        self, name: str, average: nn.Module, parameters: list[Tensor]
    ) -> Callable[..., None]:
        """Return the optimizer's hook that updates an average with its player's parameters."""
        weights: list[Tensor] = list(average.parameters())

        @torch.no_grad()
        def move(optimizer: Optimizer, args, kwargs):
            self.steps[name] = step = self.steps.get(name, 0) + 1
            torch._foreach_lerp_(weights, parameters, 1 - decay_at(step, self.decay))

        return move

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.steps = state_dict["steps"]

    def on_load_checkpoint(
        self, trainer: Trainer, model: GenerativeModule, checkpoint: dict[str, Any]
    ) -> None:
        self.saved = checkpoint["zoo"]["averages"]


def decay_at(step: int, decay: float) -> float:
    """The decay at the step-th update, from 1: smaller at first, then as given."""
    return min(decay, (1 + step) / (10 + step))
