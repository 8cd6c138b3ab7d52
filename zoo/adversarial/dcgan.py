"""Deep convolutional GAN (Radford, Metz, Chintala 2015, arXiv 1511.06434)."""

import torch
from torch import Tensor

from zoo.adversarial.gan import GAN


class DCGAN(GAN):
    """GAN with convolutional networks and batch norm, trained with Adam and a beta1 of 0.5.

    The networks are in zoo/networks/dcgan.py. They have the layers and the initialization of the
    paper. Kernels are 4x4 and there are no biases, as in the authors' Torch code. The discriminator
    processes real and generated images in separate batches, each with its own batch statistics.

    Args:
        image_size: Height and width of the images: k * 2^n with k from 2 to 7 and n >= 2.
        image_channels: Channels of the images.
        network: Pair of networks, a module in zoo/networks.
        width: Channels of the layers at the largest resolution. Each halving of the size doubles
            the channels.
        reuse_samples: Train the generator on the samples of the discriminator's step instead of
            on new ones. This saves a forward pass of the generator in each batch.

    Deviations: normal instead of uniform noise. The discriminator is evaluated again for the
    generator's step. The authors' Torch code reuses the output from before the discriminator's
    step.
    """

    def __init__(
        self,
        image_size: int = 64,
        image_channels: int = 3,
        network: str = "dcgan",
        width: int = 64,
        reuse_samples: bool = False,
        **gan,
    ):
        super().__init__(**gan)
        self.samples: Tensor | None = None  # of the batch, if they are reused

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        if self.hparams.reuse_samples:
            with torch.set_grad_enabled(self.every(self.hparams.discriminator_steps)):
                self.samples = super().generated(batch)  # (N, C, H, W)
        super().training_step(batch, batch_idx)
        self.samples = None

    def generated(self, batch: dict[str, Tensor]) -> Tensor:
        return super().generated(batch) if self.samples is None else self.samples
