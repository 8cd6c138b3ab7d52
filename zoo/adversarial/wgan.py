"""Wasserstein GAN (Arjovsky, Chintala, Bottou 2017, arXiv 1701.07875), Algorithm 1."""

from bisect import bisect_left

import torch

from zoo import networks
from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.losses import wasserstein_critic_loss, wasserstein_generator_loss
from zoo.networks import spectral_norm as spectral


class WGAN(GenerativeModule):
    """Wasserstein GAN with weight clipping; a batch is one step of the critic.

    critic_warmup is in the authors' code though not in the paper: 100 critic steps before each of
    the generator's first 25 steps, and before every 500th. critic_norm is the batch norm in the
    critic, which the authors have. network: the pair of networks, see zoo.networks. critic_lr: the
    critic's rate where it is not the generator's. Not the paper's: spectral_norm of the critic,
    which then has no batch norm, and clip=None, which leaves it to something else to keep the
    critic Lipschitz.

    Deviation from the authors' code: the weights are clipped after the critic's step, as in
    Algorithm 1, where the code clips before it.
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

    def build_generator(self):
        hp, network = self.hparams, networks.by_name(self.hparams.network)
        return network.generator(hp.image_size, hp.image_channels, hp.latent_dim, hp.width)

    def build_critic(self):
        hp, network = self.hparams, networks.by_name(self.hparams.network)
        norm = hp.critic_norm and not hp.spectral_norm
        return network.discriminator(hp.image_size, hp.image_channels, hp.width, norm)

    def prior(self, count):
        return torch.randn(count, self.hparams.latent_dim, device=self.device, dtype=self.dtype)

    def sample(self, count, condition=None):
        check_conditions(self, count, condition)
        latent = condition["latent"] if condition and "latent" in condition else self.prior(count)
        return self.generator(latent)

    def training_step(self, batch, batch_idx):
        real = batch["image"]
        critic_optimizer, generator_optimizer = self.optimizers()

        with self.turn(critic_optimizer):
            critic_loss = self.critic_loss(real)
            self.manual_backward(critic_loss)
        self.clip_critic()
        losses = {"critic_loss": critic_loss}

        if self.generator_moves():
            with self.turn(generator_optimizer):
                generator_loss = self.generator_loss(len(real))
                self.manual_backward(generator_loss)
            losses["generator_loss"] = generator_loss
        self.log_losses(**losses)

    def critic_loss(self, real):
        with torch.no_grad():
            fake = self.sample(len(real))
        return wasserstein_critic_loss(self.critic(real), self.critic(fake))

    def generator_loss(self, count):
        return wasserstein_generator_loss(self.critic(self.sample(count)))

    @torch.no_grad()
    def clip_critic(self):
        clip = self.hparams.clip
        if clip is not None:
            for parameter in self.critic.parameters():
                parameter.clamp_(-clip, clip)

    def generator_moves(self):
        """Whether the critic has had its steps, by default `critic_steps` of them."""
        if not self.hparams.critic_warmup:
            return self.every(self.hparams.critic_steps)

        def critic_steps_before(move):
            long_turns = min(move, 25) + max(0, (move - 1) // 500)
            return self.hparams.critic_steps * (move - long_turns) + 100 * long_turns

        move = bisect_left(range(self.clock), self.clock, key=critic_steps_before)
        return critic_steps_before(move) == self.clock

    def configure_optimizers(self):
        hp = self.hparams
        critic_lr = hp.lr if hp.critic_lr is None else hp.critic_lr
        critic_optimizer = torch.optim.RMSprop(self.critic.parameters(), critic_lr)
        generator_optimizer = torch.optim.RMSprop(self.generator.parameters(), hp.lr)
        return critic_optimizer, generator_optimizer
