"""Weight normalisation (Salimans, Kingma 2016, arXiv 1602.07868): w = g v / |v|, eq. 2.

|v| is that of the weights of one output. The first batch decides where g and b begin (section 3).
"""

import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d, pad


class NormedConv(nn.Module):
    """Convolution of maps (N, inputs, H, W), padded by margin: left, right, top, bottom.

    scale: the standard deviation at which `initialize` puts its outputs; until then it is |w|.
    """

    def __init__(self, inputs, outputs, kernel=(1, 1), margin=(0, 0, 0, 0), stride=1, scale=1.0):
        super().__init__()
        self.margin, self.stride, self.scale = margin, stride, scale
        self.v = nn.Parameter(0.05 * torch.randn(outputs, inputs, *kernel))
        self.g = nn.Parameter(torch.full((outputs,), scale))
        self.b = nn.Parameter(torch.zeros(outputs))

    @property
    def weight(self):
        return self.v * (self.g / self.v.flatten(1).norm(dim=1))[:, None, None, None]

    def forward(self, maps):
        weight, bias = self.weight.to(maps.dtype), self.b.to(maps.dtype)
        return conv2d(pad(maps, self.margin), weight, bias, self.stride)


class NormedTransposedConv(NormedConv):
    """Transposed convolution, a kernel of 2 rows and a stride of 2: (N, F, H, W) to (2H, 2W)."""

    def __init__(self, inputs, outputs, columns):
        super().__init__(inputs, outputs, (2, columns), stride=2)
        self.beyond = (columns - 1) // 2  # columns at each side that leave the image

    def forward(self, maps):
        weight, beyond = self.weight.transpose(0, 1), (0, self.beyond)
        return conv_transpose2d(maps, weight, self.b, self.stride, beyond, output_padding=beyond)


@torch.no_grad()
def initialize(network, mean_over_processes, *inputs):
    """Chooses g and b of all NormedConvs: on these inputs, each output has mean 0 and their scale.

    Layers that come later see the outputs of those that are done. A map that is the same everywhere
    keeps its g. mean_over_processes: averages a tensor, so that all of them choose the same.
    """

    def choose(layer, inputs, outputs):
        mean = mean_over_processes(outputs.mean(dim=(0, 2, 3)))
        centred = outputs - mean[:, None, None]
        variance = mean_over_processes(centred.square().mean(dim=(0, 2, 3)))
        factor = torch.where(variance > 1e-8, layer.scale * variance.rsqrt(), 1)
        layer.g *= factor
        layer.b.copy_((layer.b - mean) * factor)
        return centred * factor[:, None, None]

    layers = [layer for layer in network.modules() if isinstance(layer, NormedConv)]
    hooks = [layer.register_forward_hook(choose) for layer in layers]
    try:
        network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
