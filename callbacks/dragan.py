"""DRAGAN's penalty (Kodali, Abernethy, Hays, Kira 2017, arXiv 1705.07215)."""

from collections.abc import Callable
from typing import Annotated

from torch import Tensor, nn

from callbacks.network_hooks import Critic, NetworkCallback, Penalty
from zoo.base import GenerativeModule
from zoo.config.ranges import in_range
from zoo.losses import dragan_penalty


class DRAGAN(NetworkCallback):
    """Add the gradient penalty λ E (‖∇D(x + δ)‖ - k)² at perturbed real images.

    The penalty is added to the adversary's loss. As in the paper, δ is normal noise. In the
    authors' code, it is uniform noise times half of the batch's standard deviation.

    Args:
        weight: λ.
        target: k, the target of the gradient norm.
        std: Standard deviation of δ per pixel.
        player: Name of the adversary's network; by default discriminator or critic.
    """

    @in_range
    def __init__(
        self,
        weight: float = 10.0,
        target: Annotated[float, "[0, inf)"] = 1.0,
        std: Annotated[float, "[0, inf)"] = 0.25,
        player: str | None = None,
    ):
        super().__init__(player)
        self.weight = weight
        self.target = target
        self.std = std

    def attach(self, model: GenerativeModule, player: nn.Module) -> list[Callable[[], object]]:
        def penalty(critic: Critic, images: Tensor) -> Tensor:
            loss = self.weight * dragan_penalty(critic, images, self.std, self.target)
            model.log_with_losses(dragan_loss=loss)
            return loss

        return [Penalty(model, player, "callbacks.dragan", penalty).remove]
