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
    """Keep moving averages of networks' weights, updated at each optimizer step.

    average = d * average + (1 - d) * weight with d = min(decay, (1 + t) / (10 + t)) at step t.
    Without this warm-up, a decay of 0.999 would keep 37 % of the initial weights after 1,000 steps.
    Evaluation uses the averages (see `GenerativeModule.evaluating`), and checkpoints contain them.
    The averages have their own batch norm statistics (see zoo/engine/weight_averages.py).

    Args:
        decay: Largest d.
        players: Names of the networks to average.

    Raises:
        ValueError: There is no such network, or it has no parameters.
    """

    @in_range
    def __init__(
        self, decay: Annotated[float, "[0, 1)"] = 0.999, players: tuple[str, ...] = ("generator",)
    ):
        self.decay = decay
        self.players = tuple(players)
        self.averages = Averages()
        self.steps: dict[str, int] = {}  # number of updates of each player's average
        self.saved: dict[str, Any] = {}  # averages in the checkpoint to resume

    def setup(self, trainer: Trainer, model: GenerativeModule, stage: str) -> None:
        self.steps, self.saved = {}, {}  # a checkpoint is loaded after this
        for name in self.players:
            player = getattr(model, name, None)
            if isinstance(player, nn.Module) and not any(True for _ in player.parameters()):
                raise ValueError(f"callbacks.ema.players: {name} has no parameters to average.")
            if not isinstance(player, nn.Module):
                names = [name for name, _ in model.named_children()]
                raise ValueError(
                    f"callbacks.ema.players=[{','.join(self.players)}] (the default is generator): "
                    f"there is no {name}. There are: {', '.join(names)}. Set "
                    f"callbacks.ema.players=[{','.join(names)}] or some of these, in Python "
                    f"EMA(players={tuple(names)})."
                )

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
                hook = self.make_update_hook(name, average, list(player.parameters()))
                optimizer.register_step_post_hook(hook)
        if self.averages.has_statistics():
            with model.evaluating():  # raises before training if statistics cannot be estimated
                pass

    def make_update_hook(
        self, name: str, average: nn.Module, player: list[Tensor]
    ) -> Callable[[Optimizer, Any, Any], None]:
        """Return the optimizer's hook that updates an average.

        Args:
            name: Name of the network.
            average: Its averaged copy.
            player: Its parameters.
        """
        weights: list[Any] = list(average.parameters())

        @torch.no_grad()
        def update(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
            self.steps[name] = step = self.steps.get(name, 0) + 1
            current = [w.to(a.dtype) for w, a in zip(player, weights, strict=True)]
            torch._foreach_lerp_(weights, current, 1 - decay_at(step, self.decay))

        return update

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.steps = state_dict["steps"]

    def on_load_checkpoint(
        self, trainer: Trainer, model: GenerativeModule, checkpoint: dict[str, Any]
    ) -> None:
        self.saved = checkpoint["zoo"]["averages"]


def decay_at(step: int, decay: float) -> float:
    """Return the decay at an update, counted from 1, with warm-up."""
    return min(decay, (1 + step) / (10 + step))
