"""The network of NADE (Larochelle, Murray 2011, AISTATS), and its steps of sampling."""

import math

import torch
from torch import Tensor, nn

from zoo.precision import at_least_float32, without_autocast


class NADENetwork(nn.Module):
    """Images (N, C, H, W) to logits (N, C, K, H, W) of each sub-pixel, from those before it.

    Sub-pixels are in raster order, the colors of a pixel one after the other. Inputs are scaled to
    [0, 1]. The logit of level 0 is 0. Sums over sub-pixels are at least float32.

    Args:
        shape: (C, H, W).
        num_levels: K.
        width: Hidden units; 0 connects inputs to outputs instead.
        condition: Number of features (N, F, 1, 1) that the biases depend on; 0 for none.
    """

    def __init__(
        self, shape: tuple[int, int, int], num_levels: int, width: int, condition: int = 0
    ):
        super().__init__()
        self.shape, self.width, places, outputs = shape, width, math.prod(shape), num_levels - 1
        self.hidden_condition: nn.Linear | None = None
        if width:
            self.weight = uniform_parameter(places, width, fan_in=places)  # W, transposed
            self.hidden_bias = nn.Parameter(torch.zeros(width))  # c
            if condition:
                self.hidden_condition = nn.Linear(condition, width, bias=False)
        # V; without hidden units, the weights of the earlier inputs
        self.output = uniform_parameter(places, outputs, width or places, fan_in=width or places)
        self.bias = nn.Parameter(torch.zeros(places, outputs))  # b
        size = places * outputs
        self.condition = nn.Linear(condition, size, bias=False) if condition else None

    def biases(self, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the biases of hidden units (N or 1, width) and outputs (D, N or 1, K - 1)."""
        hidden = self.hidden_bias[None] if self.width else self.bias.new_zeros(1, 0)
        output = self.bias[:, None]
        if condition is None or self.condition is None:
            return hidden, output
        features = condition.flatten(1)
        own = self.condition(features).view(len(features), *self.bias.shape).transpose(0, 1)
        if self.hidden_condition is not None:
            hidden = hidden + self.hidden_condition(features)
        return hidden, output + own

    def inputs(self, images: Tensor) -> Tensor:
        """Return the sub-pixels (D, N) of images (N, C, H, W) in their order, in [0, 1]."""
        return (at_least_float32(images).movedim(1, -1).flatten(1).T + 1) / 2

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        inputs, (hidden_bias, bias) = self.inputs(images), self.biases(condition)
        output = at_least_float32(self.output)
        with without_autocast(inputs):
            if self.width:
                hidden = (hidden_bias + self.features(inputs)).sigmoid()  # (D, N, H)
                logits = hidden @ output.transpose(1, 2)  # (D, N, K - 1)
            else:
                earlier = output * output.new_ones(len(inputs), len(inputs)).tril(-1)[:, None]
                logits = torch.einsum("jn,dkj->dnk", inputs, earlier)
        channels, height, width = self.shape
        logits = (logits + bias).transpose(0, 1)  # (N, D, K - 1)
        logits = logits.reshape(len(images), height, width, channels, -1).permute(0, 3, 4, 1, 2)
        return torch.cat([torch.zeros_like(logits[:, :, :1]), logits], dim=2)

    def features(self, inputs: Tensor) -> Tensor:
        """Return W_<i x_<i for each sub-pixel i, (D, N, H), from inputs (D, N).

        The sum over the rows above is shared by a row. Within a row, a product of matrices is
        faster than the recursion.
        """
        _, height, _ = self.shape
        weight = at_least_float32(self.weight).unflatten(0, (height, -1))
        rows = inputs.unflatten(0, (height, -1))
        above = (rows.transpose(1, 2) @ weight).cumsum(dim=0)  # (R, N, H)
        above = torch.cat([torch.zeros_like(above[:1]), above[:-1]])
        size = rows.shape[1]  # of a row
        earlier = rows.new_ones(size, size).tril(-1)[:, None]  # (i, 1, j)
        left = rows.transpose(1, 2)[:, None] * earlier  # (R, i, N, j)
        own = (left.flatten(1, 2) @ weight).unflatten(1, (size, -1))  # (R, i, N, H)
        return (above[:, None] + own).flatten(0, 1)

    def steps(self, images: Tensor, condition: Tensor | None = None) -> "Steps":
        """Return the network's outputs sub-pixel by sub-pixel. See zoo.networks.raster_sampling."""
        return Steps(self, images, condition)


def uniform_parameter(*shape: int, fan_in: int) -> nn.Parameter:
    """Return weights with uniform values up to 1 / sqrt(fan_in), as in nn.Linear."""
    bound = 1 / math.sqrt(fan_in)
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


class Steps:
    """Logits of one sub-pixel after another: each step adds one input to the features.

    Args:
        network: The network, without gradients.
        images: (N, C, H, W), which are sampled in place.
        condition: See NADENetwork.forward.
    """

    def __init__(self, network: NADENetwork, images: Tensor, condition: Tensor | None):
        self.network, self.images = network, images
        hidden_bias, self.bias = network.biases(condition)
        self.output = at_least_float32(network.output)
        # Hidden units before the sigmoid, or the inputs themselves.
        self.features = self.output.new_zeros(len(images), network.width or len(self.output))
        if network.width:
            self.weight = at_least_float32(network.weight)
            self.features += hidden_bias
        self.place = 0  # of the next sub-pixel
        self.last: Tensor | None = None  # the sub-pixel before (N,), as it is sampled

    def row(self, r: int) -> None:
        """Do nothing."""

    def pixel(self, r: int, c: int, part: int | slice) -> Tensor:
        """Return logits (K, N) of channel `part` at pixel (r, c)."""
        place, network = self.place, self.network
        if self.last is not None:
            value = (at_least_float32(self.last) + 1) / 2
            if network.width:
                self.features.addr_(value, self.weight[place - 1])
            else:
                self.features[:, place - 1] = value
        self.place, self.last = place + 1, self.images[:, part, r, c]
        features = self.features.sigmoid() if network.width else self.features
        bias = self.bias[place]  # (N or 1, K - 1)
        logits = features @ self.output[place].T + bias  # (N, K - 1)
        return torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1).T
