"""What callbacks on one network of a model share: its name, its turn, and hooks that end."""

from collections.abc import Callable

import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn

from zoo.base import GenerativeModule
from zoo.config.errors import UserError
from zoo.engine.speed import use_first_order_relu
from zoo.engine.stepping import optimizer_of

ADVERSARIES = ("discriminator", "critic")
BATCH_NORMS = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.SyncBatchNorm)


def find_network(model: GenerativeModule, name: str | None, setting: str) -> nn.Module:
    """The network called `name` (dotted inside another), by default the model's adversary.

    Raises ValueError, naming the networks and the setting, where there is none.
    """
    for candidate in [name] if name else ADVERSARIES:
        try:
            return model.get_submodule(candidate)
        except AttributeError:
            pass
    known = ", ".join(child for child, _ in model.named_children())
    wanted = f"player {name}" if name else f"player {' or '.join(ADVERSARIES)}"
    raise ValueError(f"{setting}: no {wanted} in {type(model).__name__}. There are: {known}.")


def first_output(output):
    """What a player says of images: its output, or the first of a tuple of outputs."""
    return output[0] if isinstance(output, tuple | list) else output


class NetworkCallback(Callback):
    """A callback on one network. `attach` returns what is to be undone when training ends."""

    def __init__(self, player: str | None = None):
        self.player = player
        self.undo: list[Callable[[], object]] = []

    def attach(self, model: GenerativeModule, player: nn.Module) -> list[Callable[[], object]]:
        """Hooks onto the player; returns functions that take the hooks off."""
        raise NotImplementedError

    def setup(self, trainer: Trainer, model: GenerativeModule, stage: str) -> None:
        self.network(model)  # refused before any work is done

    def on_train_start(
        self, trainer: Trainer, model: GenerativeModule
    ) -> None:  # after EMA has copied its players
        self.undo = self.attach(model, self.network(model))

    def network(self, model: GenerativeModule) -> nn.Module:
        """Return the network that the callback works on."""
        return find_network(model, self.player, f"callbacks.{type(self).__module__.split('.')[-1]}")

    def detach(self) -> None:
        """Undo what `attach` did."""
        while self.undo:
            self.undo.pop()()

    def on_exception(
        self, trainer: Trainer, model: GenerativeModule, exception: BaseException
    ) -> None:
        self.detach()

    def teardown(self, trainer: Trainer, model: GenerativeModule, stage: str) -> None:
        self.detach()


def transform_inputs(player: nn.Module, change):
    """Apply `change` to what the player is called with in train mode; returns the undoing.

    Args:
        player: a network that is called with images and conditions, all positional.
        change: `change(images, *conditions)` returns the changed images and conditions.
    """

    def before(player: nn.Module, arguments):
        return change(*arguments) if player.training else arguments

    return player.register_forward_pre_hook(before).remove


class Penalty:
    """A term of a player's own turn: `penalty(critic, images)`, a scalar, in its loss.

    images: those of the player's first call in its turn, which are the real ones, before any other
    hook; critic: the player, from images to (N,) under the other arguments of that call.
    """

    def __init__(self, model: GenerativeModule, player: nn.Module, name: str, penalty):
        self.model, self.player, self.name, self.penalty = model, player, name, penalty
        self.optimizer = optimizer_of(model.trainer, player)
        if self.optimizer is None:
            raise ValueError(f"{name}: no optimizer moves this player.")
        if model.hparams.compile:
            raise ValueError(f"{name}: a penalty on gradients needs model.compile=false.")
        if any(isinstance(module, BATCH_NORMS) for module in player.modules()):
            rank_zero_warn(
                f"{name}: the player has batch norm, so that the gradient at an image is mixed "
                "with those of its batch: model.critic_norm=false or model.spectral_norm=true "
                "leave it out."
            )
        use_first_order_relu(player)
        self.call, self.batch = None, None
        model.extra_losses.setdefault(self.optimizer, []).append(self.term)
        self.hook = player.register_forward_pre_hook(self.remember, prepend=True)

    def remember(self, player: nn.Module, arguments):
        batch = self.model.trainer.global_step
        fresh = self.call is None or self.batch != batch
        if fresh and player.training and self.model.active_optimizer is self.optimizer:
            self.call, self.batch = arguments, batch

    def term(self):
        if self.call is None or self.batch != self.model.trainer.global_step:
            return 0.0  # it has not been asked
        images, *others = self.call

        def critic(images: Tensor):
            logits = first_output(self.player(images, *others))
            if logits.shape != images.shape[:1]:
                raise UserError(
                    f"{self.name}: the player gives {tuple(logits.shape)} for {len(images)} "
                    "images: the penalty is for one number an image."
                )
            return logits

        try:
            return self.penalty(critic, images)
        finally:
            self.call = None  # only now: the penalty calls the player, too

    def remove(self):
        self.hook.remove()
        self.model.extra_losses[self.optimizer].remove(self.term)
        if not self.model.extra_losses[self.optimizer]:
            del self.model.extra_losses[self.optimizer]
