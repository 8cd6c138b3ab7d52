"""WGAN with gradient penalty (Gulrajani et al. 2017, arXiv 1704.00028), Algorithm 1."""

from typing import Annotated

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.adversarial.wgan import WGAN
from zoo.engine.schedules import linear_decay
from zoo.losses import gradient_penalty, wasserstein_critic_loss
from zoo.media.images import dequantize


class WGANGP(WGAN):
    """WGAN whose critic pays for a gradient norm other than 1, instead of being clipped.

    penalty_weight: the paper's lambda. decay: batches within which both rates fall linearly to 0; 0
    leaves them alone. dequantize: the uint8 images of the data are spread over their bins. The
    defaults are those of its residual network.

    No batch norm in the critic, or ValueError: the penalty is on each image by itself.

    Deviations: the residual critic sums its last maps over the places, as SNGAN's, where the
    authors' averages them; the generator learns from as many samples at once as the critic, the
    authors' residual one from twice as many; spread over their bins, black and white pixels leave
    [-1, 1] by half a bin, where those of the authors' CIFAR-10 code stay inside.
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
        super().__init__(**wgan | {"clip": None, "critic_norm": False, "critic_warmup": False})
        if any(isinstance(module, _BatchNorm) for module in self.critic.modules()):
            raise ValueError("The critic has batch norm, but its penalty is on images one by one.")

    def critic_loss(self, real):
        if self.hparams.dequantize:
            real = dequantize(real)
        with torch.no_grad():
            fake = self.sample(len(real))
        loss = wasserstein_critic_loss(self.critic(real), self.critic(fake))
        return loss + self.hparams.penalty_weight * gradient_penalty(self.critic, real, fake)

    def configure_optimizers(self):
        hp = self.hparams
        rates = hp.lr if hp.critic_lr is None else hp.critic_lr, hp.lr
        players = self.critic, self.generator
        optimizers = [
            torch.optim.Adam(player.parameters(), lr=lr, betas=(hp.beta1, hp.beta2))
            for player, lr in zip(players, rates, strict=True)
        ]
        steps = hp.decay // hp.accumulate
        return linear_decay(optimizers, steps, steps // hp.critic_steps)
