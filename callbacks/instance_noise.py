"""Instance noise (Sønderby et al. 2017, arXiv 1610.04490; Arjovsky, Bottou 2017, 1701.04862)."""

from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor, nn

from callbacks.network_hooks import NetworkCallback, transform_inputs
from zoo.base import GenerativeModule
from zoo.config.ranges import in_range


class InstanceNoise(NetworkCallback):
    """Add noise N(0, std²) to the real and generated images for the adversary.

    The noise makes the two distributions overlap, so that the adversary cannot separate them
    perfectly. No noise is added to conditions, because they are the same for real and generated
    images.

    Args:
        std: Standard deviation in the first batch. It decreases linearly to 0.
        batches: Number of batches until the standard deviation is 0.
        player: Name of the adversary's network; by default discriminator or critic.
    """

    @in_range
    def __init__(
        self,
        std: Annotated[float, "[0, inf)"] = 0.1,
        batches: int = 10000,
        player: str | None = None,
    ):
        super().__init__(player)
        self.std = std
        self.batches = batches

    def attach(self, model: GenerativeModule, player: nn.Module) -> list[Callable[[], object]]:
        def add_noise(images: Tensor, *conditions: Tensor) -> tuple[Tensor, ...]:
            std = self.std_at(model.trainer.global_step)
            if std == 0:
                return images, *conditions
            noise = torch.randn(*images.shape, device=images.device, dtype=images.dtype)
            return images + std * noise, *conditions

        return [transform_inputs(player, add_noise)]

    def std_at(self, batch: int) -> float:
        """Return the standard deviation in a batch, counted from 1."""
        return self.std * max(0.0, 1 - (batch - 1) / self.batches)
