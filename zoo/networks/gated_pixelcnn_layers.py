"""Layers of the gated PixelCNN (van den Oord et al. 2016, arXiv 1606.05328), figure 2.

Two stacks of layers avoid a blind spot. The vertical stack processes the rows above a pixel. The
horizontal stack processes the pixels on its left and, through a connection in each layer, the
output of the vertical stack. Kernels are cropped to the past instead of masked. Only the pixel
itself needs masks, because its colors are sampled one after the other. Feature maps have a group
for each color, which depends on the groups of earlier colors and, after the first layer, on itself.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad


class ColorConv(nn.Conv2d):
    """Convolution (1, taps) along a row. Its last tap is the pixel itself, with masked colors.

    Args:
        inputs: Input channels, a group for each color.
        outputs: Output channels, in `parts` parts, each with a group for each color.
        taps: Width of the kernel.
        colors: Number of colors.
        strict: Colors do not depend on themselves. A single color then has no last tap.
        parts: Number of parts of the outputs.
    """

    mask: Tensor
    bias: nn.Parameter

    def __init__(
        self,
        inputs: int,
        outputs: int,
        taps: int,
        colors: int,
        strict: bool = False,
        parts: int = 1,
    ):
        cropped = strict and colors == 1
        super().__init__(inputs, outputs, (1, taps - cropped))
        self.colors, self.parts = colors, parts
        input_color = torch.arange(inputs) // (inputs // colors)
        output_color = torch.arange(outputs // parts) // (outputs // parts // colors)
        output_color = output_color.repeat(parts)[:, None]
        mask = torch.ones_like(self.weight, dtype=torch.bool)
        if not cropped:
            mask[:, :, 0, -1] = (
                (input_color < output_color) if strict else (input_color <= output_color)
            )
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        weight, bias = self.weight * self.mask, self.bias
        return conv2d(maps, weight.to(maps.dtype), bias.to(maps.dtype))

    def matrices(self) -> list[tuple[Tensor, Tensor]]:
        """Return the weight (outputs, taps * inputs) and the bias (outputs, 1) of each color."""
        weight = (self.weight * self.mask)[:, :, 0].transpose(1, 2).flatten(1)
        channels = torch.arange(self.out_channels).view(self.parts, self.colors, -1)
        rows = [channels[:, color].flatten() for color in range(self.colors)]
        return [(weight[chosen].contiguous(), self.bias[chosen, None]) for chosen in rows]


def check_kernel(**sides: int) -> None:
    """Raise ValueError for a kernel size that is even or less than 3.

    Args:
        **sides: The sizes, by the names of the model's parameters.
    """
    for name, side in sides.items():
        if side < 3 or side % 2 == 0:
            raise ValueError(f"model.{name}={side} must be odd, and at least 3.")


def gated_activation(maps: Tensor, dim: int = 1) -> Tensor:
    """Return tanh(a) sigmoid(b), where a and b are the halves of the maps along dim."""
    a, b = maps.chunk(2, dim)
    return a.tanh() * b.sigmoid()


class GatedLayer(nn.Module):
    """One layer of both stacks.

    Args:
        inputs: Input channels.
        width: Output channels F of both stacks.
        colors: Number of colors.
        kernel: Size of the kernel, odd.
        first: Whether this is the first layer, which must not depend on the pixel itself.
        residual: Whether the horizontal stack has a residual connection.
        condition: Channels of the condition; 0 for none.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        colors: int,
        kernel: int,
        first: bool,
        residual: bool,
        condition: int,
    ):
        super().__init__()
        self.reach = kernel // 2
        rows = taps = self.reach + 1
        self.vertical = nn.Conv2d(inputs, 2 * width, (rows - first, kernel))
        self.horizontal = ColorConv(inputs, 2 * width, taps, colors, strict=first, parts=2)
        self.taps = self.horizontal.kernel_size[1]
        self.link = nn.Conv2d(2 * width, 2 * width, 1)
        self.condition = nn.Conv2d(condition, 4 * width, 1, bias=False) if condition else None
        self.residual = ColorConv(width, width, 1, colors) if residual else None
        self.skip = ColorConv(width, width, 1, colors)

    def forward(
        self, above: Tensor, left: Tensor, condition: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return both stacks after this layer, and its skip connection, each (N, F, H, W).

        Args:
            above: The vertical stack, (N, inputs, H, W).
            left: The horizontal stack, (N, inputs, H, W).
            condition: (N, condition, 1 or H, 1 or W), or None.
        """
        height, width, reach = *left.shape[-2:], self.reach
        rows = self.vertical(pad(above, (reach, reach, reach, 0)))[:, :, :height]
        row = self.horizontal(pad(left, (reach, 0)))[..., :width]
        if condition is not None and self.condition is not None:
            for_rows, for_row = self.condition(condition).chunk(2, dim=1)
            rows, row = rows + for_rows, row + for_row
        output = gated_activation(row + self.link(rows))
        left = output if self.residual is None else left + self.residual(output)
        return gated_activation(rows), left, self.skip(output)
