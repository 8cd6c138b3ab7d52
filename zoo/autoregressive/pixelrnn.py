"""PixelRNN (van den Oord et al. 2016, arXiv 1601.06759): p(x) by two-dimensional LSTMs."""

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from zoo.autoregressive.pixelcnn import PixelCNN
from zoo.networks.pixelrnn import PixelLSTMs


class PixelRNN(PixelCNN):
    """PixelCNN with LSTM layers over the image, whose receptive field is not limited.

    The defaults are the paper's for binarized MNIST.

    Deviations: the hidden size h is that of each color, where the paper's is of all three; labels,
    which the paper does not use, add biases to the gates. The paper states no learning rate, but
    that it was lowered by hand.

    Args:
        lstm: Kind of the LSTM layers: "diagonal", two LSTMs from the upper corners, whose receptive
            field is all previous pixels, or "row", one LSTM from the top, which is faster and sees
            a triangle above the pixel.
        num_levels: Number of gray levels that images are quantized to.
        width: States of each color, the paper's h.
        layers: Number of LSTM layers.
        head_width: Feature maps of each color between the last two convolutions.
    """

    def __init__(
        self,
        lstm: str = "diagonal",
        num_levels: int = 2,
        width: int = 16,
        layers: int = 7,
        head_width: int = 32,
        **pixelcnn,
    ):
        super().__init__(**pixelcnn | {"spatial": False})

    def build_network(self) -> nn.Module:
        hp = self.hparams
        return PixelLSTMs(
            hp.image_channels,
            hp.num_levels,
            hp.lstm,
            hp.width,
            hp.layers,
            hp.head_width,
            hp.kernel,
            hp.first_kernel,
            condition=hp.classes if hp.conditional else 0,
        )

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        hp = self.hparams
        optimizer = torch.optim.RMSprop(self.parameters(), hp.lr)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, hp.decay)]
