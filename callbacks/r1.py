"""R1 regularisation (Mescheder, Geiger, Nowozin 2018, arXiv 1801.04406)."""

from collections.abc import Callable
from typing import Annotated

from torch import Tensor, nn

from callbacks.network_hooks import NetworkCallback, Penalty
from zoo.base import GenerativeModule
from zoo.config.ranges import in_range
from zoo.losses import r1_penalty


class R1(NetworkCallback):
    """gamma/2 E ‖∇D(x)‖² of real images, a term of the adversary's loss (eq. 9).

    every: the penalty is only in each so many-th batch, and as many times as strong there (lazy
    regularisation, Karras et al. 2020, arXiv 1912.04958, section 3.1; the optimizer stays as it
    is). player: the network's name, by default that of the discriminator or critic.
    """

    @in_range
    def __init__(
        self, gamma: Annotated[float, "[0, inf)"] = 10.0, every: int = 1, player: str | None = None
    ):
        super().__init__(player)
        self.gamma = gamma
        self.every = every

    def attach(self, model: GenerativeModule, player: nn.Module) -> list[Callable[[], object]]:
        def penalty(critic, images: Tensor):
            if not model.every(self.every):
                return 0.0
            loss = self.gamma * r1_penalty(critic, images)
            model.log_with_losses(r1_loss=loss)
            return self.every * loss

        return [Penalty(model, player, "callbacks.r1", penalty).remove]
