"""Convolutions from maps of one pixel and to such, as the products of matrices that they are.

As convolutions they take a CPU four to twelve times as long. The weights are nn.ConvTranspose2d's
and nn.Conv2d's.
"""

from torch import nn
from torch.nn.functional import linear


class FromPixel(nn.ConvTranspose2d):
    """(N, inputs, 1, 1) -> (N, outputs, side, side)"""

    def __init__(self, inputs, outputs, side, bias=False):
        super().__init__(inputs, outputs, side, bias=bias)

    def forward(self, pixels):
        weight = self.weight  # once: of a spectral norm, each reading is a power iteration
        maps = (pixels.flatten(1) @ weight.flatten(1)).unflatten(1, weight.shape[1:])
        return maps if self.bias is None else maps + self.bias.to(maps.dtype)[:, None, None]


class ToPixel(nn.Conv2d):
    """(N, inputs, side, side) -> (N, outputs, 1, 1)"""

    def __init__(self, inputs, outputs, side, bias=False):
        super().__init__(inputs, outputs, side, bias=bias)

    def forward(self, maps):
        return linear(maps.flatten(1), self.weight.flatten(1), self.bias)[:, :, None, None]
