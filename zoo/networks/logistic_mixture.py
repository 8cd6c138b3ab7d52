"""Mixtures of logistics on evenly spaced levels (Salimans et al. 2017, arXiv 1701.05517).

The probability of a level is the mass of its bin. The bins of the outermost levels extend to
infinity. In PixelCNN++'s mixture (sections 2.1 and 2.2) all channels of a pixel use the same
component, and the mean of a channel is linear in the previous channels. With M components and C
channels, the outputs of the network are: M logits, C M means in [-1, 1], C M log scales, and
C (C - 1) / 2 M coefficients before their tanh, grouped by channel.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from zoo.media.images import from_levels, to_levels
from zoo.precision import at_least_float32


def log_mass(
    centered: Tensor, log_scale: Tensor, half_bin: float, lowest: Tensor, highest: Tensor
) -> Tensor:
    """Return log P(x - half_bin < X < x + half_bin) of a logistic distribution.

    log(s(a) - s(b)) = log s(a) + log s(-b) + log(1 - e^(b - a)), which is exact in the tails.

    Args:
        centered: x - mean, of any shape.
        log_scale: Log of the scale.
        half_bin: Half of the distance between levels.
        lowest: Whether the bin extends to minus infinity, bool.
        highest: Whether the bin extends to plus infinity, bool.

    Returns:
        Log masses, of the shape to which the arguments broadcast.
    """
    inverse = (-log_scale).exp()
    below = logsigmoid(inverse * (centered + half_bin))
    above = logsigmoid(-inverse * (centered - half_bin))
    share = -torch.expm1(-2 * half_bin * inverse)
    share = share.clamp(min=torch.finfo(share.dtype).tiny)  # finite gradient
    mass = torch.where(highest, above, below + above + share.log())
    return torch.where(lowest, below, mass)


def official_log_mass(
    centered: Tensor, log_scale: Tensor, half_bin: float, lowest: Tensor, highest: Tensor
) -> Tensor:
    """Return `log_mass` as in the authors' code.

    For a mass below 1e-5 it uses the density at the center of the bin.
    """
    inverse = (-log_scale).exp()
    a, b, middle = (inverse * (centered + shift) for shift in (half_bin, -half_bin, 0))
    mass = a.sigmoid() - b.sigmoid()
    density = middle - log_scale - 2 * softplus(middle) + math.log(2 * half_bin)
    inner = torch.where(mass > 1e-5, mass.clamp(min=1e-12).log(), density)
    inner = torch.where(highest, -softplus(b), inner)
    return torch.where(lowest, a - softplus(a), inner)


def output_count(channels: int, mixtures: int) -> int:
    """Return the number of outputs of the network for each pixel.

    Args:
        channels: C.
        mixtures: M.
    """
    return mixtures * (1 + 2 * channels + channels * (channels - 1) // 2)


def split_outputs(outputs: Tensor, channels: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Split a network's outputs into the parameters of the mixture.

    Args:
        outputs: (N, output_count, ...).
        channels: C.

    Returns:
        Logits (N, M, ...), means and log scales (N, C, M, ...), and coefficients (N, P, M, ...) of
        the P = C (C - 1) / 2 pairs of channels.
    """
    pairs = channels * (channels - 1) // 2
    mixtures = outputs.shape[1] // output_count(channels, 1)
    outputs = outputs.unflatten(1, (-1, mixtures))
    logits, mean, log_scale, coefficient = outputs.split([1, channels, channels, pairs], dim=1)
    return logits[:, 0], mean, log_scale.clamp(min=-7), coefficient.tanh()


def conditional_mean(channel: int, mean: Tensor, coefficient: Tensor, values: Tensor) -> Tensor:
    """Return the mean of a channel given the channels before it.

    Args:
        channel: Index of the channel.
        mean: (N, C, ...).
        coefficient: (N, P, ...).
        values: Values of the channels before it, (N, at least `channel`, ...).

    Returns:
        (N, ...).
    """
    first = channel * (channel - 1) // 2
    weights = coefficient[:, first : first + channel]
    return mean[:, channel] + (weights * values[:, :channel]).sum(dim=1)


def elementwise_nll(outputs: Tensor, levels: Tensor, count: int, official: bool = False) -> Tensor:
    """Return -log p of each sub-pixel given the channels before it, in nats.

    Args:
        outputs: (N, output_count, ...); computed in float32 or better.
        levels: (N, C, ...) int64 from 0 to count - 1.
        count: Number of levels.
        official: Use `official_log_mass`.

    Returns:
        (N, C, ...).
    """
    channels, outputs = levels.shape[1], at_least_float32(outputs)
    logits, mean, log_scale, coefficient = split_outputs(outputs, channels)
    values, levels = from_levels(levels.to(outputs.dtype), count)[:, :, None], levels[:, :, None]
    mean = torch.stack(
        [conditional_mean(channel, mean, coefficient, values) for channel in range(channels)], dim=1
    )
    log_mass_of = official_log_mass if official else log_mass
    mass = log_mass_of(values - mean, log_scale, 1 / (count - 1), levels == 0, levels == count - 1)
    joint = logits.log_softmax(dim=1)[:, None] + mass.cumsum(dim=1)  # (N, C, M, ...)
    log_p = joint.logsumexp(dim=2)  # of each channel and all previous ones
    return -log_p.diff(dim=1, prepend=torch.zeros_like(log_p[:, :1]))


def pick_component(logits: Tensor, noise: Tensor) -> Tensor:
    """Sample an index (N, 1) from the softmax of logits (N, M) with uniforms (N, 1)."""
    shares = logits.softmax(dim=1).cumsum(dim=1)
    return (shares < noise).sum(dim=1, keepdim=True).clamp(max=logits.shape[1] - 1)


def choose(outputs: Tensor, noise: Tensor, count: int) -> Tensor:
    """Sample pixels from the mixture.

    Each channel is rounded to a level before the next channel is conditioned on it.

    Args:
        outputs: (N, output_count); computed in float32 or better.
        noise: Uniform random numbers (N, 1 + C). The first selects the component. The others give
            the values of the channels through the inverse distribution function.
        count: Number of levels.

    Returns:
        Values (N, C) in [-1, 1].
    """
    channels, outputs = noise.shape[1] - 1, at_least_float32(outputs)
    noise = noise.to(outputs.dtype)
    logits, mean, log_scale, coefficient = split_outputs(outputs, channels)
    component = pick_component(logits, noise[:, :1])[:, None]  # (N, 1, 1)
    mean, log_scale, coefficient = (
        each.gather(2, component.expand(-1, each.shape[1], -1))[:, :, 0]
        for each in (mean, log_scale, coefficient)
    )
    spread = log_scale.exp() * noise[:, 1:].logit()  # (N, C)
    values = torch.empty_like(spread)
    for channel in range(channels):
        value = conditional_mean(channel, mean, coefficient, values) + spread[:, channel]
        values[:, channel] = from_levels(to_levels(value, count).to(value.dtype), count)
    return values
