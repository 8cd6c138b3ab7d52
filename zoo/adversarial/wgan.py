"""Wasserstein GAN (Arjovsky, Chintala, Bottou 2017, arXiv 1701.07875), Algorithm 1."""

from bisect import bisect_left

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo import networks
from zoo.base import GenerativeModule
from zoo.engine.batch_checks import check_scores
from zoo.engine.conditions import check_conditions
from zoo.losses import wasserstein_critic_loss, wasserstein_generator_loss
from zoo.networks import spectral_norm as spectral


class WGAN(GenerativeModule):
    """Wasserstein GAN with weight clipping. Each batch is one step of the critic.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        latent_dim: Size of the latents, which are standard normal.
        network: Pair of networks, a module in zoo/networks. The critic's score is the logit.
        width: Channels of the layers at the largest resolution, or units of fully connected layers.
        lr: RMSprop's learning rate.
        critic_lr: Learning rate of the critic. Default: lr.
        clip: Largest absolute value of the critic's weights. null disables clipping. Another
            constraint must then keep the critic Lipschitz.
        critic_steps: Number of critic steps per generator step.
        critic_warmup: Use 100 critic steps before each of the generator's first 25 steps and before
            every 500th, as in the authors' code. The paper does not mention this.
        critic_norm: Use batch norm in the critic, as in the authors' code.
        spectral_norm: Use spectral normalization in the critic instead of batch norm. Not used in
            the paper.

    Deviations from the authors' code: weights are clipped after the critic's step, as in
    Algorithm 1. The authors' code clips before it.
    """

    def __init__(
        self,
        image_size: int = 64,
        image_channels: int = 3,
        latent_dim: int = 100,
        network: str = "dcgan",
        width: int = 64,
        lr: float = 5e-5,
        critic_lr: float | None = None,
        clip: float | None = 0.01,
        critic_steps: int = 5,
        critic_warmup: bool = False,
        critic_norm: bool = True,
        spectral_norm: bool = False,
        **shared,
    ):
        super().__init__(**shared)
        self.generator = self.build_generator()
        self.critic = self.build_critic()
        if self.hparams.spectral_norm:
            spectral.add_spectral_norm_(self.critic)

    def build_generator(self) -> nn.Module:
        """Latents (N, Z) -> images (N, C, H, W) in [-1, 1]."""
        hp, network = self.hparams, networks.by_name(self.hparams.network)
        return network.generator(hp.image_size, hp.image_channels, hp.latent_dim, hp.width)

    def build_critic(self) -> nn.Module:
        """Images (N, C, H, W) -> scores (N,)."""
        hp, network = self.hparams, networks.by_name(self.hparams.network)
        norm = hp.critic_norm and not hp.spectral_norm
        return network.discriminator(hp.image_size, hp.image_channels, hp.width, norm)

    def prior(self, count: int) -> Tensor:
        """Sample latents (count, Z)."""
        return torch.randn(count, self.hparams.latent_dim, device=self.device, dtype=self.dtype)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        latent = condition["latent"] if condition and "latent" in condition else self.prior(count)
        return self.generator(latent)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        real = batch["image"]  # (N, C, H, W)
        critic_optimizer, generator_optimizer = self.optimizers()

        with self.turn(critic_optimizer):  # Algorithm 1, lines 3 to 6
            critic_loss = self.critic_loss(real)
            self.manual_backward(critic_loss)
        self.clip_critic()  # Algorithm 1, line 7
        losses = {"critic_loss": critic_loss}

        if self.is_generator_turn():
            with self.turn(generator_optimizer):  # Algorithm 1, lines 9 to 11
                generator_loss = self.generator_loss(len(real))
                self.manual_backward(generator_loss)
            losses["generator_loss"] = generator_loss
        self.log_losses(**losses)

    def score(self, images: Tensor) -> Tensor:
        """Return the critic's scores (N,) of images."""
        return check_scores(self.critic(images), images, "build_critic")

    def critic_loss(self, real: Tensor) -> Tensor:
        """Return the critic's loss on real images (N, C, H, W) and N samples."""
        with torch.no_grad():
            fake = self.sample(len(real))
        return wasserstein_critic_loss(self.score(real), self.score(fake))

    def generator_loss(self, count: int) -> Tensor:
        """Return the generator's loss on `count` samples."""
        return wasserstein_generator_loss(self.score(self.sample(count)))

    @torch.no_grad()
    def clip_critic(self) -> None:
        """Clamp the critic's weights to [-clip, clip], unless clip is None."""
        clip = self.hparams.clip
        if clip is not None:
            for parameter in self.critic.parameters():
                parameter.clamp_(-clip, clip)

    def is_generator_turn(self) -> bool:
        """Return whether the generator is updated after this critic step."""
        if not self.hparams.critic_warmup:
            return self.every(self.hparams.critic_steps)

        def critic_steps_before(generator_step: int) -> int:
            long_turns = min(generator_step, 25) + max(0, (generator_step - 1) // 500)
            return self.hparams.critic_steps * (generator_step - long_turns) + 100 * long_turns

        next_step = bisect_left(range(self.clock), self.clock, key=critic_steps_before)
        return critic_steps_before(next_step) == self.clock

    def configure_optimizers(self) -> list[Optimizer]:
        hp = self.hparams
        critic_lr = hp.lr if hp.critic_lr is None else hp.critic_lr
        critic_optimizer = torch.optim.RMSprop(self.critic.parameters(), critic_lr)
        generator_optimizer = torch.optim.RMSprop(self.generator.parameters(), hp.lr)
        return [critic_optimizer, generator_optimizer]
