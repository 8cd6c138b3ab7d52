"""WGAN with gradient penalty (Gulrajani et al. 2017, arXiv 1704.00028), Algorithm 1."""

from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.adversarial.wgan import WGAN
from zoo.config.fixed_parameters import with_fixed
from zoo.engine.schedules import linear_decay
from zoo.losses import gradient_penalty, wasserstein_critic_loss
from zoo.media.images import dequantize


class WGANGP(WGAN):
    """WGAN with a penalty on the critic's gradient norm instead of weight clipping.

    The defaults are those of the paper's residual network for CIFAR-10.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        latent_dim: Size of the latents, which are standard normal.
        network: Pair of networks, a module in zoo/networks. The critic's score is the logit.
        width: Channels of the residual networks, or units of fully connected layers.
        lr: Adam's learning rate.
        beta1: Adam's beta1.
        beta2: Adam's beta2.
        penalty_weight: Weight of the gradient penalty, the paper's lambda.
        decay: Number of batches over which learning rates decay linearly to 0; 0 keeps them
            constant.
        dequantize: Add uniform noise of one gray level to the real images, which have 256 levels.

    Raises:
        ValueError: The critic has batch norm. The penalty needs scores that do not depend on the
            other images of the batch.

    Deviations: the residual critic sums its last feature maps over positions, as in SNGAN. The
    authors' critic averages them. The generator's batches have the size of the critic's. In the
    authors' residual model they are twice as large. Dequantized black and white pixels can exceed
    [-1, 1] by up to half a gray level. In the authors' CIFAR-10 code, all pixels stay in [-1, 1].
    """

    twice_differentiated = ("critic",)

    def __init__(
        self,
        image_size: int = 32,
        image_channels: int = 3,
        latent_dim: int = 128,
        network: str = "resnet",
        width: int = 128,
        lr: float = 2e-4,
        beta1: float = 0.0,
        beta2: float = 0.9,
        penalty_weight: float = 10.0,
        decay: Annotated[int, "[0, inf)"] = 0,
        dequantize: bool = True,
        **wgan,
    ):
        super().__init__(
            **with_fixed(self, wgan, {"clip": None, "critic_norm": False, "critic_warmup": False})
        )
        if any(isinstance(module, _BatchNorm) for module in self.critic.modules()):
            raise ValueError(
                "The critic has batch norm, but the gradient penalty needs scores that do not "
                "depend on other images: build_critic must return a network without batch norm."
            )

    def critic_loss(self, real: Tensor) -> Tensor:
        if self.hparams.dequantize:
            real = dequantize(real)
        with torch.no_grad():
            fake = self.sample(len(real))
        loss = wasserstein_critic_loss(self.score(real), self.score(fake))
        return loss + self.hparams.penalty_weight * gradient_penalty(self.critic, real, fake)

    def configure_optimizers(self) -> Any:
        hp = self.hparams
        rates = hp.lr if hp.critic_lr is None else hp.critic_lr, hp.lr
        players = self.critic, self.generator
        optimizers = [
            torch.optim.Adam(player.parameters(), lr=lr, betas=(hp.beta1, hp.beta2))
            for player, lr in zip(players, rates, strict=True)
        ]
        steps = hp.decay // hp.accumulate
        return linear_decay(optimizers, steps, steps // hp.critic_steps)
