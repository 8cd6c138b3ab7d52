"""pix2pix (Isola, Zhu, Zhou, Efros 2017, arXiv 1611.07004): an image translated into another."""

import torch
from torch.nn.functional import l1_loss

from zoo.base import GenerativeModule
from zoo.losses import gan_discriminator_loss, nonsaturating_generator_loss
from zoo.metrics.translation import translation_scores
from zoo.networks.patchgan import PatchGAN
from zoo.networks.unet import UNet
from zoo.portraits import translations

LOSSES = ("l1", "gan", "cgan", "l1+gan", "l1+cgan")


class Pix2Pix(GenerativeModule):
    """G(x, z) looks like the y of a source x to a discriminator of patches, and is near it in L1.

    width, discriminator_width: channels of the first layers, the latter as the former by default.
    loss: a row of the paper's table 1; cgan is a discriminator that sees x beside y, gan one that
    sees y alone, l1 none at all. l1_weight: the paper's lambda. receptive_field: the side of its
    patches, 1 (pixels), 16, 34, 70, 142 or 286. skips: without them the U-Net is an
    encoder-decoder. test_dropout: the noise z, which is dropout alone, is there at test too, as is
    batch norm by the statistics of the batch: a translation depends on those made with it.

    Deviations: a size other than a power of two is halved as long as it is even. The authors' code
    moves the generator by what the discriminator said before its own step; here it judges anew.
    """

    needs = ("image", "source")
    conditions = ("source",)

    def __init__(
        self,
        image_size: int = 256,
        image_channels: int = 3,
        source_channels: int = 3,
        width: int = 64,
        discriminator_width: int | None = None,
        loss: str = "l1+cgan",
        l1_weight: float = 100.0,
        receptive_field: int = 70,
        skips: bool = True,
        dropout: float = 0.5,
        test_dropout: bool = True,
        lr: float = 2e-4,
        beta1: float = 0.5,
        beta2: float = 0.999,
        **shared,
    ):
        if loss not in LOSSES:
            raise ValueError(f"model.loss={loss}: there are {', '.join(LOSSES)}.")
        super().__init__(**shared)
        self.generator = self.build_generator()
        if loss != "l1":
            self.discriminator = self.build_discriminator()

    def build_generator(self):
        """(N, C', H, W) -> (N, C, H, W)"""
        hp = self.hparams
        shape = hp.image_size, hp.source_channels, hp.image_channels, hp.width
        return UNet(*shape, hp.skips, hp.dropout, hp.test_dropout)

    def build_discriminator(self):
        """(N, C, H, W), and (N, C', H, W) if it is told the source -> (N, H', W')"""
        hp = self.hparams
        channels = hp.image_channels + (hp.source_channels if self.told else 0)
        width = hp.discriminator_width or hp.width
        return PatchGAN(hp.image_size, channels, width, hp.receptive_field)

    def sample(self, count, given=None):
        """`count` is the number of the sources that are given."""
        self.check_conditions(count, given)
        return self.generator(given["source"])

    @property
    def told(self):
        """Whether the discriminator sees the source."""
        return self.hparams.loss.endswith("cgan")

    def judge(self, images, batch):
        """Logits (N, H', W') of the patches of images."""
        return self.discriminator(images, *([batch["source"]] if self.told else []))

    def training_step(self, batch, batch_idx):
        real, optimizers, losses = batch["image"], self.optimizers(), {}
        *adversary, generator_optimizer = optimizers if self.hparams.loss != "l1" else [optimizers]
        fake = self.sample(len(real), batch)
        for discriminator_optimizer in adversary:
            with self.turn(discriminator_optimizer):
                losses["discriminator_loss"] = self.discriminator_loss(batch, fake.detach())
                self.manual_backward(losses["discriminator_loss"])
        with self.turn(generator_optimizer):
            losses["generator_loss"] = self.generator_loss(batch, fake)
            self.manual_backward(losses["generator_loss"])
        self.log_losses(**losses, l1_error=l1_loss(fake, real))

    def discriminator_loss(self, batch, fake):
        """Halved, so that it learns more slowly than the generator (section 3.3)."""
        logits = self.judge(batch["image"], batch), self.judge(fake, batch)
        return gan_discriminator_loss(*logits) / 2

    def generator_loss(self, batch, fake):
        """-E log D(x, G(x, z)) + lambda E |y - G(x, z)|, or the part of it that `loss` names."""
        hp, loss = self.hparams, 0.0
        if hp.loss != "l1":
            loss = nonsaturating_generator_loss(self.judge(fake, batch))
        if hp.loss.startswith("l1"):
            loss = loss + hp.l1_weight * l1_loss(fake, batch["image"])
        return loss

    def configure_optimizers(self):
        hp = self.hparams
        players = [self.generator] if hp.loss == "l1" else [self.discriminator, self.generator]
        return [
            torch.optim.Adam(player.parameters(), lr=hp.lr, betas=(hp.beta1, hp.beta2))
            for player in players
        ]

    def measure(self, data):
        return translation_scores(self, data)

    def pictures(self, data):
        return translations(self, data)
