"""R1 regularization (Mescheder, Geiger, Nowozin 2018, arXiv 1801.04406)."""

from collections.abc import Callable
from typing import Annotated

from torch import Tensor, nn

from callbacks.network_hooks import Critic, NetworkCallback, Penalty
from zoo.base import GenerativeModule
from zoo.config.ranges import in_range
from zoo.losses import r1_penalty


class R1(NetworkCallback):
    """Add the gradient penalty gamma/2 E ‖∇D(x)‖² at real images (eq. 9).

    Args:
        gamma: Weight of the penalty.
        every: Add the penalty only in every `every`-th batch, multiplied by `every` (lazy
            regularization, Karras et al. 2020, arXiv 1912.04958, section 3.1). The optimizer is not
            adjusted.
        player: Name of the adversary's network; by default discriminator or critic.
    """

    @in_range
    def __init__(
        self, gamma: Annotated[float, "[0, inf)"] = 10.0, every: int = 1, player: str | None = None
    ):
        super().__init__(player)
        self.gamma = gamma
        self.every = every

    def attach(self, model: GenerativeModule, player: nn.Module) -> list[Callable[[], object]]:
        def penalty(critic: Critic, images: Tensor) -> Tensor | float:
            if not model.every(self.every):
                return 0.0
            loss = self.gamma * r1_penalty(critic, images)
            model.log_with_losses(r1_loss=loss)
            return self.every * loss

        return [Penalty(model, player, "callbacks.r1", penalty).remove]
