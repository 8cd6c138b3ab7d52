"""NADE (Larochelle, Murray 2011, AISTATS): a neural autoregressive distribution estimator."""

from typing import Annotated, Any

from torch import nn

from zoo.autoregressive.pixelcnn import PixelCNN
from zoo.config.fixed_parameters import with_fixed
from zoo.networks.nade import NADENetwork


class NADE(PixelCNN):
    """One hidden layer for each sub-pixel, computed from the one before by adding one input.

    The hidden layer of a sub-pixel sees all earlier ones, h_i = sigmoid(c + W_<i x_<i). The weights
    W are shared, so that sampling D sub-pixels with H units each takes O(D H) operations. With
    width=0, each sub-pixel is a logistic regression on the earlier ones: the fully visible sigmoid
    belief network (FVSBN; Frey, Hinton, Dayan 1996). sample(count, {"image": ..., "mask": ...})
    completes images as PixelCNN does.

    Deviations: sub-pixels are in raster order, the paper's are in a random one. More than two gray
        levels are a softmax, and their inputs are scaled to [0, 1]. Labels, which the paper does
        not use, are biases of the hidden layers and the outputs. Adam instead of SGD.

    Args:
        num_levels: Number of gray levels that images are quantized to.
        width: Number of units H of a hidden layer; 0 for FVSBN.
        lr: Adam's learning rate.
        decay: The learning rate is multiplied by this factor after each step.
    """

    def __init__(
        self,
        num_levels: int = 2,
        width: Annotated[int, "[0, 65536]"] = 500,
        lr: float = 1e-3,
        decay: Annotated[float, "(0, 1]"] = 1.0,
        **pixelcnn: Any,
    ):
        super().__init__(
            **with_fixed(
                self, pixelcnn, {"spatial": False, "layers": 1, "kernel": 3, "first_kernel": 7}
            )
        )

    def build_network(self) -> nn.Module:
        hp = self.hparams
        shape = hp.image_channels, hp.image_size, hp.image_size
        classes = hp.classes if hp.conditional else 0
        return NADENetwork(shape, hp.num_levels, hp.width, condition=classes)
