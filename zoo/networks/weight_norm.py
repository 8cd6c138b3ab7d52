"""Weight normalization (Salimans, Kingma 2016, arXiv 1602.07868): w = g v / |v|, eq. 2.

|v| is over the weights of one output. g and b are initialized on the first batch (section 3).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, pad
from torch.nn.utils.parametrizations import weight_norm


class NormedConv(nn.Module):
    """Convolution with weight normalization, (N, inputs, H, W) -> (N, outputs, H', W').

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Height and width of the kernel.
        margin: Zero padding on the left, right, top and bottom.
        stride: Stride in both directions.
        scale: Standard deviation of the outputs after `init_from_data_`. Before, g = scale.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int] = (1, 1),
        margin: tuple[int, int, int, int] = (0, 0, 0, 0),
        stride: int = 1,
        scale: float = 1.0,
    ):
        super().__init__()
        self.margin, self.stride, self.scale = margin, stride, scale
        self.v = nn.Parameter(0.05 * torch.randn(outputs, inputs, *kernel))
        self.g = nn.Parameter(torch.full((outputs,), scale))
        self.b = nn.Parameter(torch.zeros(outputs))

    @property
    def weight(self) -> Tensor:
        """w, (outputs, inputs, *kernel)."""
        return self.v * (self.g / self.v.flatten(1).norm(dim=1))[:, None, None, None]

    def forward(self, maps: Tensor) -> Tensor:
        weight, bias = self.weight.to(maps.dtype), self.b.to(maps.dtype)
        return conv2d(pad(maps, self.margin), weight, bias, self.stride)


class NormedTransposedConv(NormedConv):
    """Transposed convolution with weight normalization, (N, F, H, W) -> (N, F', 2H, 2W).

    Args:
        inputs: F.
        outputs: F'.
        columns: Width of the kernel, 2 or 3; its height is 2.
    """

    def __init__(self, inputs: int, outputs: int, columns: int):
        super().__init__(inputs, outputs, (2, columns), stride=2)
        self.cropped = (columns - 1) // 2  # columns on each side that lie outside the image

    def forward(self, maps: Tensor) -> Tensor:
        weight, cropped = self.weight.transpose(0, 1), (0, self.cropped)
        return conv_transpose2d(maps, weight, self.b, self.stride, cropped, output_padding=cropped)


@torch.no_grad()
def init_from_data_(
    network: nn.Module, mean_over_processes: Callable[[Tensor], Tensor], *inputs: Tensor | None
) -> None:
    """Set g and b of all NormedConvs so that outputs have mean 0 and standard deviation `scale`.

    The layers are initialized in the order of the forward pass, each on the outputs of the
    initialized layers before it. Constant channels keep their g.

    Args:
        network: The network to initialize in place.
        mean_over_processes: Function that averages a tensor over processes.
        *inputs: Arguments of the network's forward pass.
    """

    def init_layer_(layer: NormedConv, inputs: tuple, outputs: Tensor) -> Tensor:
        mean = mean_over_processes(outputs.mean(dim=(0, 2, 3)))  # (outputs,)
        centered = outputs - mean[:, None, None]
        variance = mean_over_processes(centered.square().mean(dim=(0, 2, 3)))
        factor = torch.where(variance > 1e-8, layer.scale * variance.rsqrt(), 1)
        layer.g *= factor
        layer.b.copy_((layer.b - mean) * factor)
        return centered * factor[:, None, None]

    layers = [layer for layer in network.modules() if isinstance(layer, NormedConv)]
    hooks = [layer.register_forward_hook(init_layer_) for layer in layers]
    try:
        network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()


def add_weight_norm_(
    layer: Any,
    gain: float | None = None,
    direction_std: float = 0.1,
    output_std: float | None = 1.0,
    dim: int = 0,
) -> Any:
    """Add weight norm (Salimans, Kingma 2016, arXiv 1602.07868) to a layer, and initialize it.

    Args:
        layer: Linear layer or convolution with a bias, changed in place.
        gain: Initial value of a learned gain. With None the gain is fixed, because a learned one
            would grow until the noise has no effect. Its initial value keeps the mean square of
            activations after a ReLU.
        direction_std: Initial standard deviation of directions. Long directions turn more slowly.
        output_std: Standard deviation of the outputs after `init_from_data_`. With None,
            `init_from_data_` does not change the layer.
        dim: Dimension of the outputs in the weight.

    Returns:
        The same layer.
    """
    weight_norm(layer, dim=dim)
    weight = layer.parametrizations.weight
    nn.init.normal_(weight.original1, std=direction_std)
    nn.init.constant_(weight.original0, 2**0.5 if gain is None else gain)
    nn.init.zeros_(layer.bias)
    layer.output_std = output_std
    if gain is None:
        fixed = weight.original0.detach()
        del weight.original0
        weight.register_buffer("original0", fixed)
    return layer
