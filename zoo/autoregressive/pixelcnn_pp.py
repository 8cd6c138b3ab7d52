"""PixelCNN++ (Salimans et al. 2017, arXiv 1701.05517): each pixel from a mixture of logistics."""

from typing import Annotated

import torch

from zoo.autoregressive.pixelcnn import PixelCNN
from zoo.media.images import from_levels, to_levels
from zoo.networks import logistic_mixture as logistics
from zoo.networks import raster_sampling as raster
from zoo.networks.pixelcnn_pp import TwoStreams
from zoo.networks.weight_norm import init_from_data_


class PixelCNNPP(PixelCNN):
    """Gated resnets at several resolutions that say of each pixel which logistics its levels mix.

    width: feature maps, the paper's filters; layers: gated resnets of each stream at each
    resolution, on the way down and again on the way up; mixtures: logistics of a pixel, whose
    colours they share. official: the authors' formula of a bin's mass, wrong in the tails. The
    first batch decides where the weights' norms and biases begin.

    The paper tests and draws with weights averaged at 0.9995: callbacks.ema, of player network.

    Deviations: a bin's mass is exact; what is drawn is rounded to a level before anything depends
    on it. The first batch, which sets norms and biases, is trained on, too; the authors' (100
    images, in later versions of their code 16) is not. They normalise the outputs of a transposed
    convolution before the surplus row and columns are cut off, here afterwards. Their Adam adds
    1e-8 to the mean square below the root, of gradients of nats summed over images: 1e-4 beside a
    root that is larger than ours by the number of sub-pixels in a batch.
    """

    naive = raster.NaivePixels

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
        super().__init__(**pixelcnn | {"kernel": 3, "first_kernel": 3, "spatial": False})
        self.register_buffer("initialized", torch.zeros((), dtype=torch.int64))

    def build_network(self):
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

    def elementwise_nll(self, batch):
        hp = self.hparams
        levels = to_levels(batch["image"], hp.num_levels)
        images = from_levels(levels, hp.num_levels).to(self.dtype)
        outputs = self.network(images, self.condition(batch))
        return logistics.elementwise_nll(outputs, levels, hp.num_levels, hp.official)

    def parts(self):
        """A pixel's channels are drawn together."""
        return [slice(0, self.hparams.image_channels)]

    def noise_shape(self):
        """Uniforms that decide an image: of each pixel, which logistic, and each channel."""
        hp = self.hparams
        return 1 + hp.image_channels, hp.image_size, hp.image_size

    def choose(self, outputs, noise, part):
        return logistics.choose(outputs.T, noise, self.hparams.num_levels)

    def on_train_batch_start(self, batch, batch_idx):
        super().on_train_batch_start(batch, batch_idx)
        if self.trainer.global_step == 1 and not self.initialized:
            images = self.quantized(batch["image"]).to(self.dtype)
            init_from_data_(
                self.network, self.trainer.strategy.reduce, images, self.condition(batch)
            )
            self.initialized.fill_(1)
            if "network" in self.averages:  # it would begin with weights of no meaning
                self.averages["network"].load_state_dict(self.network.state_dict())

    def configure_optimizers(self):
        hp = self.hparams
        optimizer = torch.optim.Adam(self.network.parameters(), hp.lr, (hp.beta1, hp.beta2))
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, hp.decay)]
