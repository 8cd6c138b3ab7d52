"""PixelRNN (van den Oord et al. 2016, arXiv 1601.06759): model p(x) with two-dimensional LSTMs."""

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from zoo.autoregressive.pixelcnn import PixelCNN
from zoo.config.fixed_parameters import with_fixed
from zoo.networks.pixelrnn import PixelLSTMs


class PixelRNN(PixelCNN):
    """PixelCNN whose layers are two-dimensional LSTMs.

    The defaults are the paper's for binarized MNIST.

    Deviations: the learning rate is multiplied by `decay` after each step. The authors lowered
        theirs manually, and the paper does not state the values. `width` and `head_width` are for
        each color. The paper's are for all three colors. Skip connections to the output and the
        multi-scale model are not implemented. Labels, which the paper does not use, are biases of
        the gates.

    Args:
        lstm: Kind of LSTM layer. "diagonal" is two LSTMs from the upper corners. Their receptive
            field contains all previous pixels except the last pixel of the row above. The first
            convolution adds that pixel if its kernel covers it. "row" is one LSTM from the top,
            which is faster. Its receptive field is a triangle above the pixel and a few pixels on
            its left.
        num_levels: Number of gray levels that images are quantized to.
        width: Number of states h per color.
        layers: Number of LSTM layers.
        head_width: Number of feature maps per color between the last two convolutions.
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
        super().__init__(**with_fixed(self, pixelcnn, {"spatial": False}))

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
