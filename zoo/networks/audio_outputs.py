"""Output distributions of WaveNet: p of the next sample's level, from the network's outputs."""

import math

import torch
from torch import Tensor, nn, promote_types
from torch.nn.functional import cross_entropy

from zoo.media.images import from_levels, to_levels
from zoo.networks.logistic_mixture import log_mass, pick_component


class MuLaw:
    """A softmax over levels that are finer near 0: mu-law companding of ITU-T G.711.

    Args:
        num_levels: Number of levels; mu = num_levels - 1.
        mixtures: Not used.
    """

    uniforms = 1  # random numbers per audio sample

    def __init__(self, num_levels: int, mixtures: int):
        self.num_levels, self.outputs = num_levels, num_levels

    def build_embedding(self, width: int) -> nn.Module:
        """Build the layer from levels (...) to features (..., width)."""
        return nn.Embedding(self.num_levels, width)

    def encode(self, audio: Tensor) -> Tensor:
        """Return the levels, int64, of floats in [-1, 1]."""
        mu = self.num_levels - 1
        companded = audio.sign() * (mu * audio.abs()).log1p() / math.log1p(mu)
        return to_levels(companded, self.num_levels)

    def decode(self, levels: Tensor, dtype: torch.dtype) -> Tensor:
        """Return floats in [-1, 1] of levels."""
        mu, companded = self.num_levels - 1, from_levels(levels.to(dtype), self.num_levels)
        return companded.sign() * (companded.abs() * math.log1p(mu)).expm1() / mu

    def elementwise_nll(self, outputs: Tensor, levels: Tensor) -> Tensor:
        """Return -log p of levels (N, T), in nats, under outputs (N, T, num_levels)."""
        logits = outputs.flatten(0, 1)
        return cross_entropy(logits, levels.flatten(), reduction="none").view_as(levels)

    def choose(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Sample levels (N,) from outputs (N, num_levels) with uniforms (N, 1)."""
        return pick_component(outputs, noise)[:, 0]


class LogisticMixture:
    """A mixture of logistics on evenly spaced levels, integrated over the bin of each level.

    Outputs (..., 3 M) are logits, means in [-1, 1], and log scales plus 2, so that initial scales
    are about e^-2. A bin is one level wide. The outermost bins extend to infinity.

    Args:
        num_levels: Number of levels.
        mixtures: Number M of logistics.
    """

    uniforms = 2  # random numbers per audio sample: for the component and for its value

    def __init__(self, num_levels: int, mixtures: int):
        self.num_levels, self.outputs = num_levels, 3 * mixtures

    def build_embedding(self, width: int) -> nn.Module:
        """Build the layer from levels (...) to features (..., width)."""
        return LinearEmbedding(self.num_levels, width)

    def encode(self, audio: Tensor) -> Tensor:
        """Return the levels, int64, of floats in [-1, 1]."""
        return to_levels(audio, self.num_levels)

    def decode(self, levels: Tensor, dtype: torch.dtype) -> Tensor:
        """Return floats in [-1, 1] of levels."""
        return from_levels(levels.to(dtype), self.num_levels)

    def components(self, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, means and log scales (..., M), the last two in units of levels."""
        logits, mean, log_scale = outputs.chunk(3, dim=-1)
        half = (self.num_levels - 1) / 2
        return logits, (mean + 1) * half, (log_scale - 2 + math.log(half)).clamp(min=-3)

    def elementwise_nll(self, outputs: Tensor, levels: Tensor) -> Tensor:
        """Return -log p of levels (N, T), in nats, under outputs (N, T, 3 M)."""
        logits, mean, log_scale = self.components(outputs)
        levels = levels[..., None]  # (N, T, 1)
        ends = levels == 0, levels == self.num_levels - 1
        mass = log_mass(levels - mean, log_scale, 0.5, *ends)  # (N, T, M)
        return -(logits.log_softmax(dim=-1) + mass).logsumexp(dim=-1)

    def choose(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Sample levels (N,) from outputs (N, 3 M) with uniforms (N, 2)."""
        logits, mean, log_scale = self.components(outputs)
        value = mean + log_scale.exp() * noise[:, 1:].logit(eps=1e-7)  # (N, M)
        value = value.gather(1, pick_component(logits, noise[:, :1]))[:, 0]
        return value.round().clamp(0, self.num_levels - 1).long()


class LinearEmbedding(nn.Linear):
    """Features (..., width) of levels (...), linear in their values in [-1, 1].

    Args:
        num_levels: Number of levels.
        width: Number of features.
    """

    def __init__(self, num_levels: int, width: int):
        super().__init__(1, width)
        self.num_levels = num_levels

    def forward(self, levels: Tensor) -> Tensor:
        """Return the features of levels, int64 of any shape."""
        dtype = self.weight.dtype
        values = from_levels(levels.to(promote_types(dtype, torch.float32)), self.num_levels)
        return super().forward(values[..., None].to(dtype))
