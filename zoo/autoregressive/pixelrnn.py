"""PixelRNN (van den Oord et al. 2016, arXiv 1601.06759): p(x) by two-dimensional LSTMs."""

import torch

from zoo.autoregressive.pixelcnn import PixelCNN
from zoo.networks.pixelrnn import PixelLSTMs


class PixelRNN(PixelCNN):
    """PixelCNN whose layers are LSTMs that go through the image, so that they see without limit.

    lstm: "diagonal", two from the upper corners, that see all that is before a pixel, or "row", one
    from the top, quicker, that sees a triangle above it. width: the paper's h, states of each
    colour; head_width: maps of each colour between the last two convolutions. kernel: what the Row
    LSTM's convolutions span. The defaults are those for binarised MNIST.

    Deviations: h is of each colour, where the paper's is of all three; labels, which the paper does
    not have, are biases of the gates. The paper names no rate, but that it was lowered by hand.
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

    def build_network(self):
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

    def configure_optimizers(self):
        hp = self.hparams
        optimizer = torch.optim.RMSprop(self.parameters(), hp.lr)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, hp.decay)]
