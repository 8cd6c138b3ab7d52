"""Least squares GAN (Mao et al. 2017, arXiv 1611.04076)."""

from typing import Annotated

import torch
from torch import Tensor

from zoo.adversarial.gan import GAN
from zoo.config.fixed_parameters import with_fixed
from zoo.losses import least_squares_discriminator_loss, least_squares_generator_loss


class LSGAN(GAN):
    """GAN whose discriminator regresses to `b` on real images and to `a` on generated ones.

    The generator's target is `c`. With b - c = 1 and b - a = 2, such as a = -1, b = 1 and c = 0,
    the generator minimizes the Pearson chi-square divergence between p_data + p_g and 2 p_g
    (section 3.2). The defaults are those of the authors' image experiments.

    Args:
        image_size: Height and width of the images: k * 2^n with k from 2 to 7 and n >= 2.
        image_channels: Channels of the images.
        network: Pair of networks, a module in zoo/networks. The score is the logit.
        width: Channels of the layers at the largest resolution. Each halving of the size doubles
            the channels.
        a: Target of the discriminator for generated images.
        b: Target of the discriminator for real images.
        c: Target of the generator.
        lr: Adam's learning rate.

    Deviations: the networks are DCGAN's. The authors' generator has more layers and generates
    112x112 images. The noise is normal with 100 dimensions. The authors use uniform noise with 1024
    dimensions. The loss is the mean over the batch, as in the paper. The authors' code uses the
    sum.
    """

    def __init__(
        self,
        image_size: int = 64,
        image_channels: int = 3,
        network: str = "dcgan",
        width: int = 64,
        a: Annotated[float, "(-inf, inf)"] = 0.0,
        b: Annotated[float, "(-inf, inf)"] = 1.0,
        c: Annotated[float, "(-inf, inf)"] = 1.0,
        lr: float = 1e-3,
        **gan,
    ):
        super().__init__(**with_fixed(self, gan, {"saturating": False, "label_smoothing": 0.0}))

    def discriminator_loss(self, batch: dict[str, Tensor]) -> Tensor:
        hp, real = self.hparams, batch["image"]
        with torch.no_grad():
            fake = self.sample(len(real), batch)
        scores = self.discriminate(real, batch), self.discriminate(fake, batch)
        return least_squares_discriminator_loss(*scores, hp.a, hp.b)

    def generator_loss(self, batch: dict[str, Tensor]) -> Tensor:
        score = self.discriminate(self.sample(len(batch["image"]), batch), batch)
        return least_squares_generator_loss(score, self.hparams.c)
