"""The network of PixelRNN (van den Oord et al. 2016, arXiv 1601.06759), table 1.

A 7x7 convolution that excludes the pixel itself (mask A), layers of LSTMs with residual
connections, and two 1x1 convolutions. Kernels are cropped to the past instead of masked. Feature
maps have a group for each color, see zoo.networks.gated_pixelcnn_layers.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from zoo.networks.gated_pixelcnn_layers import ColorConv, check_kernel
from zoo.networks.pixelrnn_lstm import DiagonalBiLSTM, RowLSTM
from zoo.networks.pixelrnn_steps import STEPS, Steps
from zoo.precision import at_least_float32, without_autocast


class FirstConv(nn.Module):
    """Convolution with mask A: over the rows above and the pixels on the left.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Height and width of the kernel, odd.
        colors: Number of colors.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, colors: int):
        super().__init__()
        self.reach = kernel // 2
        self.above = nn.Conv2d(inputs, outputs, (self.reach, kernel), bias=False)
        self.left = ColorConv(inputs, outputs, self.reach + 1, colors, strict=True)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        above = self.above(pad(images, (self.reach, self.reach, self.reach, 0)))[:, :, :height]
        return above + self.left(pad(images, (self.reach, 0)))[..., :width]


class PixelLSTMs(nn.Module):
    """Images (N, C, H, W) in [-1, 1] -> logits (N, C, K, H, W) of the levels of each sub-pixel.

    Conditions are (N, G, 1, 1).

    Args:
        colors: C.
        levels: K.
        kind: "row" for Row LSTMs or "diagonal" for Diagonal BiLSTMs.
        width: Number of states h of each color. Feature maps have 2h channels for each color.
        layers: Number of LSTM layers.
        head_width: Maps of each color between the last two convolutions.
        kernel: Width of the Row LSTM's convolutions, odd.
        first_kernel: Size of the first convolution's kernel, odd.
        condition: G; 0 for no condition.

    Raises:
        ValueError: The kind is unknown, or a kernel size is even or less than 3.
    """

    layers: Any  # nn.ModuleList of LSTMLayer

    def __init__(
        self,
        colors: int,
        levels: int,
        kind: str,
        width: int,
        layers: int,
        head_width: int,
        kernel: int,
        first_kernel: int,
        condition: int = 0,
    ):
        super().__init__()
        if kind not in STEPS:
            raise ValueError(f"model.lstm={kind}: choose one of {', '.join(STEPS)}.")
        check_kernel(kernel=kernel, first_kernel=first_kernel)
        self.colors, self.levels, self.kind = colors, levels, kind
        features, head = width * colors, head_width * colors
        self.first = FirstConv(colors, 2 * features, first_kernel, colors)
        self.layers = nn.ModuleList(
            RowLSTM(features, colors, kernel, condition)
            if kind == "row"
            else DiagonalBiLSTM(features, colors, condition)
            for _ in range(layers)
        )
        self.hidden = ColorConv(2 * features, head, 1, colors)
        self.output = ColorConv(head, levels * colors, 1, colors)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        maps = self.first(images).contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            maps = layer(maps, condition)
        hidden = self.hidden(maps.relu()).relu()
        with without_autocast(hidden):
            logits = self.output(at_least_float32(hidden))
        return logits.unflatten(1, (self.colors, self.levels))

    def steps(self, images: Tensor, condition: Tensor | None = None) -> Steps:
        """Return steps for images (N, C, H, W), see zoo.networks.raster_sampling."""
        return STEPS[self.kind](self, images, condition)
