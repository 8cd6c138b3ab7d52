"""The network of Glow (Kingma, Dhariwal 2018, arXiv 1807.03039): actnorm, 1x1 convolutions.

Each module maps (N, C, H, W) to values of the same number and to log-determinants (N,) of its
Jacobian, and has the method `inverse`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo.networks.dropout import Dropout
from zoo.networks.multi_scale_flow import MultiScale, Squeeze
from zoo.precision import at_least_float32, without_autocast


class GlowFlow(MultiScale):
    """Steps of flow at several scales (figure 2), (N, C, H, W) -> (N, Z).

    A step is an actnorm, a 1x1 convolution and a coupling. After the steps of a scale, the half
    that leaves is normalized by a mean and a scale that depend on the half that stays: this is the
    authors' learned prior of that half, written as a coupling.

    Args:
        size: Height and width of the images.
        channels: Channels of the images.
        scales: Number of scales, the paper's L.
        couplings: Steps of each scale, the paper's K.
        width: Feature maps of the couplings' networks.
        dropout: Dropout probability.
    """

    def __init__(
        self, size: int, channels: int, scales: int, couplings: int, width: int, dropout: float
    ):
        super().__init__()
        self.scales = nn.ModuleList()
        for scale in range(scales):
            size, channels = size // 2, 4 * channels
            maps: list[nn.Module] = [Squeeze()]
            for _ in range(couplings):
                network = hidden_convs(channels // 2, width, dropout)
                maps += [ActNorm(channels), InvertibleConv(channels)]
                maps.append(AffineCoupling(network, width, channels))
            if scale < scales - 1:
                maps.append(AffineCoupling(nn.Identity(), channels // 2, channels))
                channels //= 2
            self.scales.append(nn.ModuleList(maps))
        self.last_shape = channels, size, size

    def stages(self) -> list[Sequence[Any]]:
        return list(self.scales)  # type: ignore[arg-type]


class ActNorm(nn.Module):
    """y = s x + b with one scale and one bias per channel (section 3.1).

    Args:
        channels: C.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, bias = at_least_float32(self.log_scale), at_least_float32(self.bias)
        log_det = x.shape[2] * x.shape[3] * log_scale.sum()
        return x * log_scale.exp() + bias, log_det.expand(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        """Invert the map."""
        return (y - at_least_float32(self.bias)) * (-at_least_float32(self.log_scale)).exp()


class InvertibleConv(nn.Module):
    """1x1 convolution with the weight P L (U + diag(s)), a rotation at first (eq. 10).

    The permutation P and the signs of s are fixed.

    Args:
        channels: C.
    """

    permutation: Tensor
    sign: Tensor

    def __init__(self, channels: int):
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels))
        permutation, lower, upper = torch.linalg.lu(rotation)
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", upper.diagonal().sign())
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_scale = nn.Parameter(upper.diagonal().abs().log())

    def factors(self) -> tuple[Tensor, Tensor]:
        """Return L and U + diag(s), both (C, C) and at least float32."""
        lower, upper = at_least_float32(self.lower), at_least_float32(self.upper)
        scale = at_least_float32(self.sign) * at_least_float32(self.log_scale).exp()
        return lower.tril(-1) + torch.eye(len(lower)).to(lower), upper.triu(1) + scale.diag()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with without_autocast(x):
            lower, upper = self.factors()
            weight = at_least_float32(self.permutation) @ lower @ upper
            log_det = x.shape[2] * x.shape[3] * at_least_float32(self.log_scale).sum()
            return (weight @ x.flatten(2)).view_as(x), log_det.expand(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        """Invert the map."""
        with without_autocast(y):
            lower, upper = self.factors()
            permuted = at_least_float32(self.permutation).T
            inner = torch.linalg.solve_triangular(lower, permuted, upper=False, unitriangular=True)
            weight = torch.linalg.solve_triangular(upper, inner, upper=True)
            return (weight @ y.flatten(2)).view_as(y)


class AffineCoupling(nn.Module):
    """y_a = x_a and y_b = x_b exp(s(x_a)) + t(x_a), for the halves a and b of the channels.

    Args:
        network: Hidden layers, (N, C / 2, H, W) -> (N, F, H, W).
        width: F.
        channels: C.
    """

    def __init__(self, network: nn.Module, width: int, channels: int):
        super().__init__()
        last = nn.Conv2d(width, channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.network = nn.Sequential(network, last)
        self.scale = nn.Parameter(torch.ones(channels // 2, 1, 1))

    def changes(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Return s(x_a) and t(x_a), both (N, C / 2, H, W)."""
        outputs = at_least_float32(self.network(kept.to(self.scale.dtype)))
        log_scale, shift = outputs.chunk(2, dim=1)
        return at_least_float32(self.scale) * log_scale.tanh(), shift

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = x.chunk(2, dim=1)
        log_scale, shift = self.changes(kept)
        y = torch.cat([kept, changed * log_scale.exp() + shift], dim=1)
        return y, log_scale.flatten(1).sum(dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        """Invert the map."""
        kept, changed = y.chunk(2, dim=1)
        log_scale, shift = self.changes(kept)
        return torch.cat([kept, (changed - shift) * (-log_scale).exp()], dim=1)


def hidden_convs(channels: int, width: int, dropout: float) -> nn.Sequential:
    """Return a 3x3 and a 1x1 convolution, (N, C, H, W) -> (N, F, H, W)."""
    first, second = nn.Conv2d(channels, width, 3, padding=1), nn.Conv2d(width, width, 1)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), Dropout(dropout))


@torch.no_grad()
def init_from_data_(
    flow: nn.Module, mean_over_processes: Callable[[Tensor], Tensor], x: Tensor
) -> None:
    """Set all actnorms so that their outputs have mean 0 and standard deviation 1 (section 3.1).

    They are set in the order of the forward pass, each on the outputs of those before it. Constant
    channels keep their scale.

    Args:
        flow: The flow to initialize in place.
        mean_over_processes: Function that averages a tensor over processes.
        x: Arguments of the flow, (N, C, H, W).
    """

    def init_layer_(layer: ActNorm, inputs: tuple[Tensor]) -> None:
        (values,) = inputs
        mean = mean_over_processes(values.mean(dim=(0, 2, 3)))  # (C,)
        centered = values - mean[:, None, None]
        variance = mean_over_processes(centered.square().mean(dim=(0, 2, 3)))
        factor = torch.where(variance > 1e-8, variance.rsqrt(), 1)
        layer.log_scale.copy_(factor.log()[:, None, None])
        layer.bias.copy_(-(mean * factor)[:, None, None])

    layers = [layer for layer in flow.modules() if isinstance(layer, ActNorm)]
    hooks = [layer.register_forward_pre_hook(init_layer_) for layer in layers]
    try:
        flow(x)
    finally:
        for hook in hooks:
            hook.remove()
