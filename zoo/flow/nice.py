"""NICE (Dinh, Krueger, Bengio 2015, arXiv 1410.8516): a flow of additive couplings."""

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from zoo.config.fixed_parameters import with_fixed
from zoo.flow.realnvp import RealNVP
from zoo.networks.dropout import Dropout
from zoo.precision import at_least_float32


class NICE(RealNVP):
    """Additive couplings of the even and the odd sub-pixels, and a scaling of each latent.

    A coupling keeps every second sub-pixel and adds a function of these to the others. Its Jacobian
    has determinant 1 (section 3.2), so that only the scaling changes the volume (section 3.3).
    Latents, likelihood, sampling and the training step are those of RealNVP.

    Deviations: pixels pass through the logit, and latents are from N(0, I), both as in RealNVP.
    The paper has pixels in [0, 1], a logistic prior for most data, and ZCA whitening for colors.
    The networks' last layers start at zero, so that the flow starts as the identity. AdamW instead
    of Adam, and dropout is optional.

    Args:
        width: Units of each hidden layer of the couplings' networks.
        layers: Hidden layers of each network.
        couplings: Number of couplings. With 3 or more, each sub-pixel can depend on all others.
        dropout: Dropout probability of hidden units.
    """

    def __init__(
        self,
        width: int = 1000,
        layers: int = 5,
        couplings: int = 4,
        dropout: float = 0.0,
        **realnvp: Any,
    ):
        super().__init__(**with_fixed(self, realnvp, {"scales": 1, "blocks": 1}))

    def build_flow(self) -> nn.Module:
        hp = self.hparams
        shape = hp.image_channels, hp.image_size, hp.image_size
        return AdditiveCouplings(shape, hp.couplings, hp.width, hp.layers, hp.dropout)


class AdditiveCouplings(nn.Module):
    """Additive couplings and a scaling, (N, C, H, W) -> (N, Z) and log-determinants (N,).

    Args:
        shape: (C, H, W).
        couplings: Number of couplings. The first one keeps the even sub-pixels, the next one the
            odd ones, and so on.
        width: Units of each hidden layer.
        layers: Hidden layers of each network.
        dropout: Dropout probability of hidden units.
    """

    def __init__(
        self, shape: tuple[int, ...], couplings: int, width: int, layers: int, dropout: float
    ):
        super().__init__()
        self.shape, dimensions = shape, math.prod(shape)
        sizes = (dimensions + 1) // 2, dimensions // 2
        self.networks = nn.ModuleList(
            build_network(sizes[number % 2], sizes[1 - number % 2], width, layers, dropout)
            for number in range(couplings)
        )
        self.log_scale = nn.Parameter(torch.zeros(dimensions))  # log S_ii

    def shift(self, number: int, halves: list[Tensor]) -> Tensor:
        """Return what a coupling adds to the half that it changes."""
        inputs = halves[number % 2].to(self.log_scale.dtype)
        return at_least_float32(self.networks[number](inputs))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        halves = even_and_odd(x.flatten(1))
        for number in range(len(self.networks)):
            changed = 1 - number % 2
            halves[changed] = halves[changed] + self.shift(number, halves)  # eq. 9, 10
        log_scale = at_least_float32(self.log_scale)
        return interleaved(halves) * log_scale.exp(), log_scale.sum().expand(len(x))

    def inverse(self, latent: Tensor) -> Tensor:
        """Map latents (N, Z) to (N, C, H, W)."""
        halves = even_and_odd(latent * (-at_least_float32(self.log_scale)).exp())
        for number in reversed(range(len(self.networks))):
            changed = 1 - number % 2
            halves[changed] = halves[changed] - self.shift(number, halves)
        return interleaved(halves).unflatten(1, self.shape)


def build_network(
    inputs: int, outputs: int, width: int, layers: int, dropout: float
) -> nn.Sequential:
    """Build a network (N, inputs) -> (N, outputs) of rectified layers. It starts at zero."""
    sizes = [inputs, *[width] * layers]
    hidden = [
        nn.Sequential(nn.Linear(before, after), nn.ReLU(), Dropout(dropout))
        for before, after in pairwise(sizes)
    ]
    last = nn.Linear(width, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*hidden, last)


def even_and_odd(flat: Tensor) -> list[Tensor]:
    """Split (N, Z) into its even and odd columns."""
    return [flat[:, ::2], flat[:, 1::2]]


def interleaved(halves: list[Tensor]) -> Tensor:
    """Invert `even_and_odd`."""
    even, odd = halves
    flat = even.new_empty(len(even), even.shape[1] + odd.shape[1])
    flat[:, ::2], flat[:, 1::2] = even, odd
    return flat
