"""WaveNet's dilated causal convolutions (van den Oord et al. 2016, arXiv 1609.03499), figure 4.

A convolution with a kernel of 2 is computed as two linear maps, of the current and of a past
sample. Training on whole series and sampling one by one then use the same weights.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from zoo import precision
from zoo.precision import at_least_float32


def delay(series: Tensor, by: int) -> Tensor:
    """Shift series (N, T, F) by `by` samples to the right, with zeros at the start."""
    return pad(series, (0, 0, by, 0))[:, : series.shape[1]]


class CausalConv(nn.Module):
    """Series (N, T, inputs) -> (N, T, outputs): y_t = present(x_t) + past(x_t-dilation).

    Args:
        inputs: Input features.
        outputs: Output features.
        dilation: Distance to the past sample. Samples before the start are 0.
    """

    def __init__(self, inputs: int, outputs: int, dilation: int = 1):
        super().__init__()
        self.dilation = dilation
        self.present = nn.Linear(inputs, outputs)
        self.past = nn.Linear(inputs, outputs, bias=False)

    def forward(self, series: Tensor) -> Tensor:
        return self.present(series) + self.past(delay(series, self.dilation))


class GatedLayer(nn.Module):
    """One residual block with gates, eqs. 2 and 3.

    Args:
        width: F, features of the series.
        skip_width: Features of the skip connection.
        dilation: Dilation of the convolution.
        condition: Size of the condition, which is mapped to the gates; 0 for none.
        residual: Whether the block has a residual connection. The last one has none.
    """

    def __init__(self, width: int, skip_width: int, dilation: int, condition: int, residual: bool):
        super().__init__()
        self.conv = CausalConv(width, 2 * width, dilation)
        self.condition = nn.Linear(condition, 2 * width, bias=False) if condition else None
        self.residual = nn.Linear(width, width) if residual else None
        self.skip = nn.Linear(width, skip_width)

    def forward(self, series: Tensor, terms: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the series for the next layer, and the input of the skip connection.

        Args:
            series: (N, T, F).
            terms: Terms of the condition in the gates, (N, T or 1, 2F), or None.
        """
        a, b = (self.conv(series) if terms is None else self.conv(series) + terms).chunk(2, dim=-1)
        outputs = a.tanh() * b.sigmoid()  # (N, T, F)
        if self.residual is not None:
            series = series + self.residual(outputs)
        return series, outputs


class DilatedConvs(nn.Module):
    """Levels (N, T) -> outputs (N, T, K), which at t depend only on the samples before t.

    Dilations are 1, 2, ... 2^(layers - 1), repeated `blocks` times. Conditions are (N, frames, G),
    with one frame for all samples or one for every `hop` samples.

    Args:
        embedding: Layer from levels (...) to features (..., width).
        width: Features of the series.
        skip_width: Features of the skip connections.
        layers: Layers of each block.
        blocks: Number of blocks.
        outputs: K.
        condition: G; 0 for no condition.
        hop: Samples of each frame of the condition.
    """

    layers: Any  # nn.ModuleList of GatedLayer

    def __init__(
        self,
        embedding: nn.Module,
        width: int,
        skip_width: int,
        layers: int,
        blocks: int,
        outputs: int,
        condition: int = 0,
        hop: int = 0,
    ):
        super().__init__()
        self.hop = hop
        self.embedding = embedding
        self.first = CausalConv(width, width)
        dilations = [2**layer for layer in range(layers)] * blocks
        self.layers = nn.ModuleList(
            GatedLayer(width, skip_width, dilation, condition, residual=number < len(dilations))
            for number, dilation in enumerate(dilations, start=1)
        )
        self.hidden = nn.Linear(skip_width, skip_width)
        self.output = precision.Linear(skip_width, outputs)

    @property
    def receptive_field(self) -> int:
        """Number of samples before t that the outputs at t depend on."""
        return 2 + sum(layer.conv.dilation for layer in self.layers)

    def forward(self, levels: Tensor, condition: Tensor | None = None) -> Tensor:
        series, outputs = self.first(delay(self.embedding(levels), 1)), []  # (N, T, F)
        for layer in self.layers:
            series, output = layer(series, self.condition_terms(layer, condition, levels.shape[1]))
            outputs.append(output)
        return self.head(linear(torch.cat(outputs, dim=-1), *self.skips()))

    def skips(self) -> tuple[Tensor, Tensor]:
        """Return the sum of all skip connections as one linear map: (S, L * F) and (S,)."""
        weight = torch.cat([layer.skip.weight for layer in self.layers], dim=1)
        return weight, sum(layer.skip.bias for layer in self.layers)

    def head(self, skips: Tensor) -> Tensor:
        """Map the sum of the skip connections (..., S) to outputs (..., K)."""
        return self.output(self.hidden(skips.relu()).relu())

    def condition_terms(self, layer: Any, condition: Tensor | None, length: int) -> Tensor | None:
        """Return a layer's terms of the condition (N, frames, G): (N, length or 1, 2F) or None."""
        if condition is None:
            return None
        terms = layer.condition(condition)
        return terms if len(terms[0]) == 1 else terms.repeat_interleave(self.hop, 1)[:, :length]

    def steps(self, count: int, condition: Tensor | None = None) -> "Steps":
        """Return a function that computes the outputs of `count` series sample by sample."""
        return Steps(self, count, condition)


class Steps:
    """Compute outputs (N, K) at t = 0, 1, ... from the levels (N,) at t - 1, with a cache.

    Each layer has a queue of its last inputs, with the length of its dilation. The queues are ring
    buffers in one tensor (sum of dilations, N, F). The contributions of the past and of the
    condition to the gates are known before a step, and are computed for all layers in one batched
    product. Each layer then needs two products, and all skip connections together need one.

    For few series, most of the time is spent on starting operations. Layers therefore work in
    place, on views that are made once. Biases of residual connections are left out of `inputs`, and
    are added for all layers at once. Steps have no gradients: call them in torch.no_grad().

    Args:
        network: A DilatedConvs.
        count: N.
        condition: (N, frames, G) or None.
    """

    def __init__(self, network: DilatedConvs, count: int, condition: Tensor | None = None):
        layers, width = network.layers, network.first.present.out_features
        like = network.output.weight
        self.embedding, self.hop, self.time = network.embedding, network.hop, 0
        self.before, self.embedded = like.new_zeros(2, count, width)
        self.dilations = torch.tensor([layer.conv.dilation for layer in layers], device=like.device)
        self.starts = self.dilations.cumsum(0) - self.dilations
        self.rings = like.new_zeros(int(self.dilations.sum()), count, width)
        residuals = [layer.residual for layer in layers[:-1]]
        biases = [like.new_zeros(width), *(residual.bias for residual in residuals)]
        self.biases = torch.stack(biases).cumsum(0)[:, None]  # (L, 1, F), what inputs leave out
        present = torch.stack([layer.conv.present.weight.T for layer in layers])  # (L, F, 2F)
        self.past = torch.stack([layer.conv.past.weight.T for layer in layers])
        bias = torch.stack([layer.conv.present.bias for layer in layers])[:, None]
        terms = (bias + self.biases @ present)[:, None]
        self.terms = terms.expand(-1, count, 1, -1)  # (L, N, frames, 2F)
        if condition is not None:
            self.terms = self.terms + torch.stack([layer.condition(condition) for layer in layers])
        self.inputs = like.new_zeros(len(layers), count, width)
        self.gates = like.new_zeros(len(layers), count, 2 * width)
        a, b = self.gates.chunk(2, dim=-1)
        self.outputs = a.transpose(0, 1)  # (N, L, F)
        products = present, [*(residual.weight.T for residual in residuals), None]
        views = self.inputs, self.gates, a, b, [*self.inputs[1:], None]
        self.layers = list(zip(*products, *views, strict=True))
        first, hidden, output = network.first, network.hidden, network.output
        weights = first.past.weight.T, first.present.weight.T
        self.first: tuple[Tensor, ...] = first.present.bias, *weights
        self.head = [network.skips(), (hidden.weight, hidden.bias)]
        self.output = at_least_float32(output.weight), at_least_float32(output.bias)

    def __call__(self, levels: Tensor | None = None) -> Tensor:
        """Return the outputs (N, K) of the next sample.

        Args:
            levels: Levels (N,) of the previous sample; None at the start.
        """
        if levels is not None:
            self.before, self.embedded = self.embedded, self.embedding(levels)
        bias, past, present = self.first
        terms = torch.addmm(bias, self.before, past)
        torch.addmm(terms, self.embedded, present, out=self.inputs[0])
        rows = self.starts + self.time % self.dilations
        frame = self.time // self.hop if self.terms.shape[2] > 1 else 0
        torch.baddbmm(self.terms[:, :, frame], self.rings[rows], self.past, out=self.gates)
        for present, residual, inputs, gates, a, b, after in self.layers:
            gates.addmm_(inputs, present)
            a.tanh_().mul_(b.sigmoid_())
            if residual is not None:
                torch.addmm(inputs, a, residual, out=after)
        self.rings[rows] = self.inputs + self.biases
        self.time += 1
        features = self.outputs.flatten(1)
        for weight, bias in self.head:
            features = linear(features, weight, bias).relu_()
        return linear(at_least_float32(features), *self.output)
