"""The network of MADE (Germain et al. 2015, arXiv 1502.03509), and its steps of sampling."""

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from zoo.networks.dropout import Dropout


class MaskedMLP(nn.Module):
    """Images (N, C, H, W) to logits (N, C, K, H, W) of each sub-pixel, from those before it.

    Unit k has a degree m(k), and is connected to inputs of a rank up to m(k) (eq. 8 and 9). The
    logit of level 0 is 0.

    Args:
        shape: (C, H, W).
        num_levels: K.
        width: Units of each hidden layer.
        layers: Hidden layers.
        orders: Places (O, D) of the sub-pixels of a flattened image in each order, the first first.
        direct: Whether inputs are connected to outputs, too.
        dropout: Probability that a hidden unit is dropped.
        condition: Number of features (N, F, 1, 1) that the outputs depend on; 0 for none.
    """

    degrees: Tensor
    orders: Tensor
    ranks: Tensor

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_levels: int,
        width: int,
        layers: int,
        orders: Tensor,
        direct: bool,
        dropout: float,
        condition: int = 0,
    ):
        super().__init__()
        self.shape, self.outputs, inputs = shape, num_levels - 1, math.prod(shape)
        sizes = [inputs, *[width] * layers]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.output = nn.Linear(width, inputs * self.outputs)
        self.direct = nn.Linear(inputs, inputs * self.outputs, bias=False) if direct else None
        self.dropout = Dropout(dropout)
        self.conditions = nn.ModuleList(
            nn.Linear(condition, layer.out_features, bias=False)
            for layer in (*self.hidden, self.output)
            if condition
        )
        degrees = 1 + torch.arange(width) * (inputs - 1) // width  # 1 ... D - 1, spread evenly
        self.register_buffer("degrees", degrees, persistent=False)
        self.register_buffer("orders", orders, persistent=False)
        self.register_buffer("ranks", 1 + orders.argsort(dim=1), persistent=False)  # (O, D)

    def weights(self, order: int) -> tuple[list[Tensor], Tensor, Tensor | None]:
        """Return the masked weights of the hidden layers, the output and the direct connections."""
        ranks, degrees = self.ranks[order], self.degrees
        masks = [degrees[:, None] >= ranks, *[degrees[:, None] >= degrees] * (len(self.hidden) - 1)]
        layers: Any = self.hidden
        hidden = [layer.weight * mask for layer, mask in zip(layers, masks, strict=True)]
        output = self.output.weight * self.repeated(ranks[:, None] > degrees)
        if self.direct is None:
            return hidden, output, None
        return hidden, output, self.direct.weight * self.repeated(ranks[:, None] > ranks)

    def repeated(self, mask: Tensor) -> Tensor:
        """Repeat the rows of a mask for the logits of each sub-pixel."""
        return mask.repeat_interleave(self.outputs, dim=0)

    def biases(self, condition: Tensor | None) -> list[Tensor]:
        """Return the biases (N or 1, units) of the hidden layers and the output."""
        layers = *self.hidden, self.output
        if condition is None:
            return [layer.bias[None] for layer in layers]
        features = condition.flatten(1)
        return [
            layer.bias + by(features) for layer, by in zip(layers, self.conditions, strict=True)
        ]

    def forward(self, images: Tensor, condition: Tensor | None = None, order: int = 0) -> Tensor:
        flat = images.flatten(1)  # (N, D)
        weights, output, direct = self.weights(order)
        *biases, bias = self.biases(condition)
        hidden = flat
        for weight, own in zip(weights, biases, strict=True):
            hidden = self.dropout((linear(hidden, weight) + own).relu())  # (N, width)
        logits = linear(hidden, output) + bias  # (N, D (K - 1))
        if direct is not None:
            logits = logits + linear(flat, direct)
        logits = logits.view(-1, *self.shape, self.outputs).movedim(-1, 2)  # (N, C, K - 1, H, W)
        return torch.cat([torch.zeros_like(logits[:, :, :1]), logits], dim=2)

    def steps(self, images: Tensor, condition: Tensor | None = None, order: int = 0) -> "Steps":
        """Return the network's outputs sub-pixel by sub-pixel. See zoo.networks.raster_sampling."""
        return Steps(self, images, condition, order)


class Steps:
    """Logits of one sub-pixel after another: the first layer adds one input in each step.

    Args:
        network: The network, without gradients.
        images: (N, C, H, W), which are sampled in place.
        condition: See MaskedMLP.forward.
        order: Number of the order.
    """

    def __init__(self, network: MaskedMLP, images: Tensor, condition: Tensor | None, order: int):
        self.network, self.flat, self.shape = network, images.view(len(images), -1), images.shape
        (self.first, *self.weights), self.output, self.direct = network.weights(order)
        first, *self.biases = network.biases(condition)
        self.features = first.expand(len(images), -1).clone()  # of the first layer, before ReLU
        self.last: int | None = None  # the place of the sub-pixel before

    def row(self, r: int) -> None:
        """Do nothing."""

    def pixel(self, r: int, c: int, part: int | slice) -> Tensor:
        """Return logits (K, N) of channel `part` at pixel (r, c)."""
        _, _, height, width = self.shape
        return self.at((int(part) * height + r) * width + c)  # type: ignore[arg-type]

    def at(self, place: int) -> Tensor:
        """Return logits (K, N) of a place of the flattened image, when those before are sampled."""
        if self.last is not None:
            self.features.addr_(self.flat[:, self.last], self.first[:, self.last])
        self.last, outputs = place, self.network.outputs
        hidden = self.features.relu()  # (N, width)
        *biases, bias = self.biases
        for weight, own in zip(self.weights, biases, strict=True):
            hidden = (linear(hidden, weight) + own).relu()
        rows = slice(place * outputs, (place + 1) * outputs)
        logits = linear(hidden, self.output[rows]) + bias[:, rows]  # (N, K - 1)
        if self.direct is not None:
            logits = logits + linear(self.flat, self.direct[rows])
        return torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1).T
