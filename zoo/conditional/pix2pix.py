"""pix2pix (Isola, Zhu, Zhou, Efros 2017, arXiv 1611.07004): image-to-image translation."""

from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.losses import gan_discriminator_loss, l1_loss, nonsaturating_generator_loss
from zoo.metrics.translation import translation_scores
from zoo.networks.patchgan import PatchGAN
from zoo.networks.unet import UNet
from zoo.plots.translations import translations

LOSSES = ("l1", "gan", "cgan", "l1+gan", "l1+cgan")


class Pix2Pix(GenerativeModule):
    """Translate a source image x into an image y with a U-Net and a patch discriminator.

    Dropout is the only source of noise. Batch norm in the U-Net uses batch statistics even in eval
    mode, so a translation depends on the other images in the batch.

    Args:
        image_size: Height and width of both images; must be even.
        image_channels: Channels of y.
        source_channels: Channels of x.
        width: Channels of the U-Net's first layer.
        discriminator_width: Channels of the discriminator's first layer. Default: width.
        loss: "l1", "gan", "cgan", "l1+gan" or "l1+cgan", as in the paper's table 1. The
            discriminator's input is x and y for "cgan", and y for "gan"; "l1" has no discriminator.
        l1_weight: Weight of the L1 term, lambda in eq. 4.
        receptive_field: Receptive field of the discriminator in pixels: 1, 16, 34, 70, 142 or 286.
        norm: Normalization layers of the discriminator: "none", "instance" or "batch".
        skips: Use skip connections. Without them, the U-Net is a plain encoder-decoder.
        dropout: Dropout probability in the U-Net's first three decoder layers.
        test_dropout: Keep dropout on in eval mode, as in the paper.
        lr: Adam's learning rate.
        discriminator_lr: Learning rate of the discriminator. Default: lr.
        beta1: Adam's beta1.
        beta2: Adam's beta2.

    Deviations: by default, the discriminator has no norm, and He initialization. The authors use
    batch norm with batches of one image, where it is equivalent to instance norm. In larger
    batches, batch norm removes differences in brightness and contrast between real and generated
    images. Images whose side is not a power of two are halved as long as the side is even. The
    generator's gradient uses a new forward pass of the discriminator.
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
        receptive_field: Annotated[int, "[1, 286]"] = 70,
        norm: str = "none",
        skips: bool = True,
        dropout: float = 0.5,
        test_dropout: bool = True,
        lr: float = 2e-4,
        discriminator_lr: float | None = None,
        beta1: float = 0.5,
        beta2: float = 0.999,
        **shared,
    ):
        if loss not in LOSSES:
            raise ValueError(f"model.loss={loss}: choose one of {', '.join(LOSSES)}.")
        super().__init__(**shared)
        self.generator = self.build_generator()
        if loss != "l1":
            self.discriminator = self.build_discriminator()

    def build_generator(self) -> nn.Module:
        """Sources (N, C', H, W) -> images (N, C, H, W) in [-1, 1]."""
        hp = self.hparams
        shape = hp.image_size, hp.source_channels, hp.image_channels, hp.width
        return UNet(*shape, hp.skips, hp.dropout, hp.test_dropout)

    def build_discriminator(self) -> nn.Module:
        """Images (N, C, H, W), and sources for "cgan" -> logits (N, H', W') of patches."""
        hp = self.hparams
        channels = hp.image_channels + (hp.source_channels if self.sees_source else 0)
        width = hp.discriminator_width or hp.width
        return PatchGAN(hp.image_size, channels, width, hp.receptive_field, hp.norm)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        condition = condition or {}
        return self.generator(condition["source"])

    @property
    def sees_source(self) -> bool:
        """Whether the discriminator is conditioned on the source."""
        return self.hparams.loss.endswith("cgan")

    def discriminate(self, images: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the discriminator's logits (N, H', W') of patches, given a batch's sources."""
        return self.discriminator(images, *([batch["source"]] if self.sees_source else []))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        real, optimizers, losses = batch["image"], self.optimizers(), {}
        *adversary, generator_optimizer = optimizers if self.hparams.loss != "l1" else [optimizers]
        fake = self.sample(len(real), batch)  # (N, C, H, W)
        if adversary:
            with self.turn(*adversary):
                losses["discriminator_loss"] = self.discriminator_loss(batch, fake.detach())
                self.manual_backward(losses["discriminator_loss"])
        with self.turn(generator_optimizer):
            losses["generator_loss"] = self.generator_loss(batch, fake)
            self.manual_backward(losses["generator_loss"])
        self.log_losses(**losses, l1_error=l1_loss(fake, real))

    def discriminator_loss(self, batch: dict[str, Tensor], fake: Tensor) -> Tensor:
        """Return GAN's loss, halved as in section 3.3. The factor does not change Adam's steps."""
        logits = self.discriminate(batch["image"], batch), self.discriminate(fake, batch)
        return gan_discriminator_loss(*logits) / 2

    def generator_loss(self, batch: dict[str, Tensor], fake: Tensor) -> Tensor:
        """-E log D(x, G(x, z)) + lambda E |y - G(x, z)|, or only the term selected by `loss`."""
        hp, loss = self.hparams, fake.new_zeros(())
        if hp.loss != "l1":
            loss = nonsaturating_generator_loss(self.discriminate(fake, batch))
        if hp.loss.startswith("l1"):
            loss = loss + hp.l1_weight * l1_loss(fake, batch["image"])
        return loss

    def configure_optimizers(self) -> list[Optimizer]:
        hp = self.hparams
        players = [(self.generator, hp.lr)]
        if hp.loss != "l1":
            rate = hp.lr if hp.discriminator_lr is None else hp.discriminator_lr
            players.insert(0, (self.discriminator, rate))
        return [
            torch.optim.Adam(player.parameters(), lr=rate, betas=(hp.beta1, hp.beta2))
            for player, rate in players
        ]

    def measure(self, data: Any, split: str) -> dict[str, float]:
        return translation_scores(self, data, split)

    def figures(self, data: Any) -> dict[str, Tensor]:
        return translations(self, data)
