"""WaveNet's dilated causal convolutions (van den Oord et al. 2016, arXiv 1609.03499), figure 4.

A convolution with a kernel of two is two linear maps, of the present and of a past sample, so the
network on whole series and the one that goes step by step share their weights as they are.
"""

import torch
from torch import nn
from torch.nn.functional import linear, pad

from zoo import precision


def delayed(series, by):
    """A series (N, T, F), `by` samples later, zeros before it."""
    return pad(series, (0, 0, by, 0))[:, : series.shape[1]]


class CausalConv(nn.Module):
    """y_t = present(x_t) + past(x_t-dilation) on (N, T, F); each layer is padded by itself."""

    def __init__(self, inputs, outputs, dilation=1):
        super().__init__()
        self.dilation = dilation
        self.present = nn.Linear(inputs, outputs)
        self.past = nn.Linear(inputs, outputs, bias=False)

    def forward(self, series):
        return self.present(series) + self.past(delayed(series, self.dilation))


class GatedLayer(nn.Module):
    """One residual block; `given` numbers of a condition add to what the gates see (eqs. 2, 3)."""

    def __init__(self, width, skip_width, dilation, condition, residual):
        super().__init__()
        self.conv = CausalConv(width, 2 * width, dilation)
        self.condition = nn.Linear(condition, 2 * width, bias=False) if condition else None
        self.residual = nn.Linear(width, width) if residual else None
        self.skip = nn.Linear(width, skip_width)

    def forward(self, series, terms):
        """The series (N, T, F) for the next layer, and what the skip takes to the output.

        terms: (N, T or 1, 2F), the condition's, or None.
        """
        a, b = (self.conv(series) if terms is None else self.conv(series) + terms).chunk(2, dim=-1)
        gated = a.tanh() * b.sigmoid()
        if self.residual is not None:
            series = series + self.residual(gated)
        return series, gated


class Dilated(nn.Module):
    """Levels (N, T) to (N, T, outputs) that depend, at t, on the samples before t alone.

    embedding: makes (..., width) of levels. Dilations are 1, 2, ... 2^(layers - 1), `blocks` times.
    given: numbers of the condition (N, frames, given): one frame for all samples, or one for each
    `hop` of them.
    """

    def __init__(self, embedding, width, skip_width, layers, blocks, outputs, condition=0, hop=0):
        super().__init__()
        self.hop = hop
        self.embedding = embedding
        self.first = CausalConv(width, width)
        dilations = [2**layer for layer in range(layers)] * blocks
        self.layers = nn.ModuleList(
            GatedLayer(width, skip_width, dilation, condition, residual=place < len(dilations))
            for place, dilation in enumerate(dilations, start=1)  # nothing reads the last's series
        )
        self.hidden = nn.Linear(skip_width, skip_width)
        self.output = precision.Linear(skip_width, outputs)

    @property
    def receptive_field(self):
        """The number of samples before t that the outputs at t depend on."""
        return 2 + sum(layer.conv.dilation for layer in self.layers)

    def forward(self, levels, condition=None):
        series, outputs = self.first(delayed(self.embedding(levels), 1)), []
        for layer in self.layers:
            series, gated = layer(series, self.spread(layer, condition, levels.shape[1]))
            outputs.append(gated)
        return self.head(linear(torch.cat(outputs, dim=-1), *self.skips()))

    def skips(self):
        """The sum of all layers' skips as one product: its weight (S, L * F) and bias (S,)."""
        weight = torch.cat([layer.skip.weight for layer in self.layers], dim=1)
        return weight, sum(layer.skip.bias for layer in self.layers)

    def head(self, skips):
        return self.output(self.hidden(skips.relu()).relu())

    def spread(self, layer, condition, length):
        """A layer's terms of the condition (N, frames, given), each frame for `hop` samples."""
        if condition is None:
            return None
        terms = layer.condition(condition)
        return terms if len(terms[0]) == 1 else terms.repeat_interleave(self.hop, 1)[:, :length]

    def steps(self, count, condition=None):
        """What gives the outputs of `count` series sample by sample."""
        return Steps(self, count, condition)


class Steps:
    """The outputs (N, outputs) at t = 0, 1, ..., told the levels (N,) of t - 1: nothing twice.

    A queue of each layer holds its last inputs, as many as its dilation; the queues are rings in
    one tensor (sum of dilations, N, F). What the past and the condition add to the gates is known
    before a step: one batched product for all layers. Each layer then costs two products, and all
    skips one.
    """

    def __init__(self, network, count, condition=None):
        layers, width = network.layers, network.first.present.out_features
        like = network.output.weight
        self.network, self.time = network, 0
        self.before, self.embedded = like.new_zeros(2, count, width)
        self.dilations = torch.tensor([layer.conv.dilation for layer in layers], device=like.device)
        self.starts = self.dilations.cumsum(0) - self.dilations
        self.rings = like.new_zeros(int(self.dilations.sum()), count, width)
        self.presents = [layer.conv.present.weight.T for layer in layers]
        self.past = torch.stack([layer.conv.past.weight.T for layer in layers])  # (L, F, 2F)
        self.terms = torch.stack([layer.conv.present.bias for layer in layers])[:, None, None]
        self.terms = self.terms.expand(-1, count, 1, -1)  # (L, N, frames, 2F)
        if condition is not None:
            added = torch.stack([layer.condition(condition) for layer in layers])
            self.terms = self.terms + added
        self.residuals = [layer.residual for layer in layers]
        self.skips = network.skips()

    def __call__(self, levels=None):
        network, inputs, outputs = self.network, [], []
        if levels is not None:
            self.before, self.embedded = self.embedded, network.embedding(levels)
        series = network.first.present(self.embedded) + network.first.past(self.before)
        rows = self.starts + self.time % self.dilations
        frame = self.time // network.hop if self.terms.shape[2] > 1 else 0
        known = torch.baddbmm(self.terms[:, :, frame], self.rings[rows], self.past)
        for terms, present, residual in zip(known, self.presents, self.residuals, strict=True):
            a, b = torch.addmm(terms, series, present).chunk(2, dim=1)
            inputs.append(series)
            outputs.append(a.tanh() * b.sigmoid())
            if residual is not None:
                series = series + residual(outputs[-1])
        self.rings[rows] = torch.stack(inputs)
        self.time += 1
        return network.head(linear(torch.cat(outputs, dim=1), *self.skips))
