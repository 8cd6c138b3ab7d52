"""The base class of callbacks that act on one network, and hooks on its inputs and its loss."""

from collections.abc import Callable, Sequence
from typing import Any

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
Critic = Callable[[Tensor], Tensor]  # images (N, C, H, W) -> logits (N,)


def find_network(model: GenerativeModule, name: str | None, setting: str) -> nn.Module:
    """Find a network of a model.

    Args:
        model: The model.
        name: Name of the network, dotted if it is inside another; None is the adversary.
        setting: Name of the callback, for the error message.

    Raises:
        ValueError: There is no such network.
    """
    for candidate in [name] if name else ADVERSARIES:
        try:
            return model.get_submodule(candidate)
        except AttributeError:
            pass
    names = ", ".join(child for child, _ in model.named_children())
    wanted = f"player {name}" if name else f"player {' or '.join(ADVERSARIES)}"
    raise ValueError(f"{setting}: no {wanted} in {type(model).__name__}. There are: {names}.")


def first_output(output: Any) -> Any:
    """Return the output of a network, or the first of several outputs."""
    return output[0] if isinstance(output, tuple | list) else output


def images_of(args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> Tensor:
    """Return the images of a network's call: its first argument, positional or by keyword."""
    return args[0] if args else next(iter(kwargs.values()))


class NetworkCallback(Callback):
    """A callback that acts on one network. A subclass overrides `attach`.

    Args:
        player: Name of the adversary's network; by default discriminator or critic.
    """

    def __init__(self, player: str | None = None):
        self.player = player
        self.undo: list[Callable[[], object]] = []

    def attach(self, model: GenerativeModule, player: nn.Module) -> list[Callable[[], object]]:
        """Add hooks to the network; return the functions that remove them after training."""
        raise NotImplementedError

    def setup(self, trainer: Trainer, model: GenerativeModule, stage: str) -> None:
        self.network(model)  # a missing network is an error before training

    def on_train_start(self, trainer: Trainer, model: GenerativeModule) -> None:
        # Not in `setup`, because EMA copies its networks after that.
        self.undo = self.attach(model, self.network(model))

    def network(self, model: GenerativeModule) -> nn.Module:
        """Return the network that the callback acts on."""
        return find_network(model, self.player, f"callbacks.{type(self).__module__.split('.')[-1]}")

    def detach(self) -> None:
        """Remove all hooks."""
        while self.undo:
            self.undo.pop()()

    def on_exception(
        self, trainer: Trainer, model: GenerativeModule, exception: BaseException
    ) -> None:
        self.detach()

    def teardown(self, trainer: Trainer, model: GenerativeModule, stage: str) -> None:
        self.detach()


def transform_inputs(
    player: nn.Module, transform: Callable[..., Sequence[Tensor]]
) -> Callable[[], None]:
    """Transform the inputs of a network in train mode.

    Args:
        player: A network whose inputs are images and conditions, positional or by keyword.
        transform: `transform(images, *conditions)` returns new images and conditions.

    Returns:
        The function that removes the hook.
    """

    def before(player: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Any]) -> Any:
        if not player.training:
            return None
        named = {name: value for name, value in kwargs.items() if isinstance(value, Tensor)}
        outputs = tuple(transform(*args, *named.values()))
        new = zip(named, outputs[len(args) :], strict=True)
        return outputs[: len(args)], {**kwargs, **dict(new)}

    return player.register_forward_pre_hook(before, with_kwargs=True).remove


class Penalty:
    """Add a penalty to the loss of a network in its own turn.

    The penalty uses the images of the network's first call in its turn, before other hooks
    transform them. These are the real images.

    Args:
        model: The model.
        player: The network.
        name: Name of the callback, for messages.
        penalty: `penalty(critic, images)` returns a scalar. `critic` is the network as a function
            of images alone, with the conditions of the first call.

    Raises:
        ValueError: No optimizer updates the network, or the model is compiled.
    """

    def __init__(
        self,
        model: GenerativeModule,
        player: nn.Module,
        name: str,
        penalty: Callable[[Critic, Tensor], Tensor | float],
    ):
        self.model, self.player, self.name, self.penalty = model, player, name, penalty
        optimizer = optimizer_of(model.trainer, player)
        if optimizer is None:
            raise ValueError(f"{name}: no optimizer updates this player.")
        self.optimizer = optimizer
        if model.hparams.compile:
            raise ValueError(f"{name}: a gradient penalty needs model.compile=false.")
        if any(isinstance(module, BATCH_NORMS) for module in player.modules()):
            rank_zero_warn(
                f"{name}: the player has batch norm, so that the gradient at an image depends on "
                "the other images of its batch: model.critic_norm=false or "
                "model.spectral_norm=true removes it."
            )
        use_first_order_relu(player)
        # The arguments of the first call in the turn, positional and by keyword.
        self.inputs: tuple[tuple[Tensor, ...], dict[str, Tensor]] | None = None
        self.batch: int | None = None  # the batch of that call
        model.extra_losses.setdefault(self.optimizer, []).append(self.term)
        self.hook = player.register_forward_pre_hook(self.remember, prepend=True, with_kwargs=True)

    def remember(
        self, player: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]
    ) -> None:
        """Keep the inputs of the first call in the network's turn."""
        batch = self.model.trainer.global_step
        first = self.inputs is None or self.batch != batch
        if first and player.training and self.model.active_optimizer is self.optimizer:
            self.inputs, self.batch = (args, kwargs), batch

    def term(self) -> Any:
        """Compute the penalty for the inputs of this turn."""
        if self.inputs is None or self.batch != self.model.trainer.global_step:
            return 0.0  # the network was not called
        args, kwargs = self.inputs

        def critic(images: Tensor) -> Tensor:
            if args:
                output = self.player(images, *args[1:], **kwargs)
            else:
                output = self.player(**kwargs | {next(iter(kwargs)): images})
            logits = first_output(output)
            if logits.shape != images.shape[:1]:
                raise UserError(
                    f"{self.name}: the output of the player for {len(images)} images has shape "
                    f"{tuple(logits.shape)}, but the penalty needs one number per image."
                )
            return logits

        try:
            return self.penalty(critic, images_of(args, kwargs))
        finally:
            self.inputs = None  # not earlier, because the penalty also calls the network

    def remove(self) -> None:
        """Remove the penalty from the loss."""
        self.hook.remove()
        self.model.extra_losses[self.optimizer].remove(self.term)
        if not self.model.extra_losses[self.optimizer]:
            del self.model.extra_losses[self.optimizer]
