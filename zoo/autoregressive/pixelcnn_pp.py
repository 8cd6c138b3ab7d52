"""PixelCNN++ (Salimans et al. 2017, arXiv 1701.05517): a mixture of logistics for each pixel."""

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from zoo.autoregressive.pixelcnn import PixelCNN
from zoo.config.fixed_parameters import with_fixed
from zoo.media.images import from_levels, to_levels
from zoo.networks import logistic_mixture as logistics
from zoo.networks import raster_sampling as raster
from zoo.networks.pixelcnn_pp import TwoStreams
from zoo.networks.weight_norm import init_from_data_


class PixelCNNPP(PixelCNN):
    """Gated resnets at several resolutions that predict a mixture of logistics for each pixel.

    The norms of the weights and the biases are initialized on the first batch. The paper evaluates
    and samples with averaged weights: use callbacks.ema with decay=0.9995 and players=[network].

    Deviations from the authors' code: the probability mass of a bin is computed exactly. Each
    sampled channel is rounded to a level before the next values are conditioned on it. The first
    batch, which initializes norms and biases, is also used for training. The outputs of a
    transposed convolution are normalized after cropping. The authors normalize them before. Adam's
    epsilon is PyTorch's default, outside the square root. The authors add 1e-8 inside it, and
    their loss is summed over the images of a batch.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        width: Number of feature maps, the paper's filters.
        layers: Number of gated resnets per stream and resolution, on the way down and again on the
            way up.
        resolutions: Number of resolutions. Each one has half the height and width of the previous.
        mixtures: Number of logistics per pixel. All colors share the mixture weights.
        dropout: Dropout probability in the gated resnets.
        official: Use the authors' formula for a bin's probability, which is inexact in the tails.
        beta1: Adam's decay rate of the first moment.
        beta2: Adam's decay rate of the second moment.
        decay: The learning rate is multiplied by this factor after each step.
    """

    uncached_steps = raster.UncachedPixelSteps
    initialized: Tensor  # 1 after the first batch has set norms and biases

    def __init__(
        self,
        image_size: int = 32,
        image_channels: int = 3,
        width: int = 160,
        layers: int = 5,
        resolutions: Annotated[int, "[1, 16]"] = 3,
        mixtures: int = 10,
        dropout: float = 0.5,
        official: bool = False,
        beta1: float = 0.95,
        beta2: float = 0.9995,
        decay: Annotated[float, "(0, 1]"] = 0.999995,
        **pixelcnn,
    ):
        super().__init__(
            **with_fixed(self, pixelcnn, {"kernel": 3, "first_kernel": 3, "spatial": False})
        )
        self.register_buffer("initialized", torch.zeros((), dtype=torch.int64))

    def build_network(self) -> nn.Module:
        """Build the network from images (N, C, H, W) to the mixture's parameters (N, P, H, W)."""
        hp = self.hparams
        return TwoStreams(
            hp.image_channels,
            logistics.output_count(hp.image_channels, hp.mixtures),
            hp.width,
            hp.layers,
            hp.resolutions,
            condition=hp.classes if hp.conditional else 0,
            dropout=hp.dropout,
        )

    def elementwise_nll(self, batch: dict[str, Tensor]) -> Tensor:
        """Return -log p of each sub-pixel given all previous ones, (N, C, H, W) in nats."""
        hp = self.hparams
        levels = to_levels(batch["image"], hp.num_levels)
        images = from_levels(levels, hp.num_levels).to(self.dtype)
        outputs = self.network(images, self.condition(batch))  # (N, P, H, W)
        return logistics.elementwise_nll(outputs, levels, hp.num_levels, hp.official)

    def channel_groups(self) -> list[slice]:
        """Return one slice: the channels of a pixel are sampled together."""
        return [slice(0, self.hparams.image_channels)]

    def noise_shape(self) -> tuple[int, int, int]:
        """Return the shape of an image's uniform random numbers: 1 + C for each pixel.

        The first one selects the logistic, and the others the values of the channels.
        """
        hp = self.hparams
        return 1 + hp.image_channels, hp.image_size, hp.image_size

    def choose(self, outputs: Tensor, noise: Tensor, channels: slice) -> Tensor:
        """Sample the values (N, C) of a pixel from outputs (P, N) and uniforms (N, 1 + C)."""
        return logistics.choose(outputs.T, noise, self.hparams.num_levels)

    def on_train_batch_start(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        if self.trainer.global_step == 1 and not self.initialized:
            images = self.quantized(batch["image"]).to(self.dtype)
            init_from_data_(
                self.network, self.trainer.strategy.reduce, images, self.condition(batch)
            )
            self.initialized.fill_(1)
            if "network" in self.averages:  # it copied the weights before this initialization
                self.averages["network"].load_state_dict(self.network.state_dict())

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        hp = self.hparams
        optimizer = torch.optim.Adam(self.network.parameters(), hp.lr, (hp.beta1, hp.beta2))
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, hp.decay)]
