"""Mixtures of logistics on evenly spaced levels (Salimans et al. 2017, arXiv 1701.05517).

Each level has the mass of its bin; what is beyond the outermost levels belongs to them. In
PixelCNN++'s mixture (sections 2.1 and 2.2) the channels of a pixel share the component, in which
the mean of a channel is linear in the channels before it. Its outputs are, with M components and C
channels: M logits, C M means in [-1, 1], C M log scales, and C (C - 1) / 2 M coefficients before
their tanh, those of a channel one after the other.
"""

import math

import torch
from torch.nn.functional import logsigmoid, softplus

from zoo.media.images import from_levels, to_levels
from zoo.precision import at_least_float32


def log_mass(centred, log_scale, half_bin, lowest, highest):
    """log P(x - half_bin < X < x + half_bin) of a logistic, centred = x - mean, of any shape.

    By log(s(a) - s(b)) = log s(a) + log s(-b) + log(1 - e^(b - a)), exact in the tails. lowest,
    highest: where the bin is open to minus or to plus infinity.
    """
    inverse = (-log_scale).exp()
    below = logsigmoid(inverse * (centred + half_bin))
    above = logsigmoid(-inverse * (centred - half_bin))
    share = -torch.expm1(-2 * half_bin * inverse)
    share = share.clamp(min=torch.finfo(share.dtype).tiny)  # no infinite gradient of huge scales
    mass = torch.where(highest, above, below + above + share.log())
    return torch.where(lowest, below, mass)


def official_log_mass(centred, log_scale, half_bin, lowest, highest):
    """`log_mass` as the authors' code has it: below 1e-5 the density in the middle of the bin."""
    inverse = (-log_scale).exp()
    a, b, middle = (inverse * (centred + shift) for shift in (half_bin, -half_bin, 0))
    mass = a.sigmoid() - b.sigmoid()
    density = middle - log_scale - 2 * softplus(middle) + math.log(2 * half_bin)
    inner = torch.where(mass > 1e-5, mass.clamp(min=1e-12).log(), density)
    inner = torch.where(highest, -softplus(b), inner)
    return torch.where(lowest, a - softplus(a), inner)


def output_count(channels, mixtures):
    """How many numbers say what the mixture of a pixel is."""
    return mixtures * (1 + 2 * channels + channels * (channels - 1) // 2)


def parts(outputs, channels):
    """Logits (N, M, ...), means and log scales (N, C, M, ...), coefficients (N, P, M, ...)."""
    pairs = channels * (channels - 1) // 2
    mixtures = outputs.shape[1] // output_count(channels, 1)
    outputs = outputs.unflatten(1, (-1, mixtures))
    logits, mean, log_scale, coefficient = outputs.split([1, channels, channels, pairs], dim=1)
    return logits[:, 0], mean, log_scale.clamp(min=-7), coefficient.tanh()


def mean_given(channel, mean, coefficient, values):
    """The mean (N, ...) of a channel when those before it have the values (N, >= channel, ...)."""
    first = channel * (channel - 1) // 2
    weights = coefficient[:, first : first + channel]
    return mean[:, channel] + (weights * values[:, :channel]).sum(dim=1)


def elementwise_nll(outputs, levels, count, official=False):
    """-log p of each sub-pixel given the channels before it, in nats: (N, C, ...).

    outputs: (N, output_count, ...); levels: int64 (N, C, ...) from 0 to count - 1. official: by
    `official_log_mass`. Never in half precision.
    """
    channels, outputs = levels.shape[1], at_least_float32(outputs)
    logits, mean, log_scale, coefficient = parts(outputs, channels)
    values, levels = from_levels(levels.to(outputs.dtype), count)[:, :, None], levels[:, :, None]
    mean = torch.stack(
        [mean_given(channel, mean, coefficient, values) for channel in range(channels)], dim=1
    )
    law = official_log_mass if official else log_mass
    mass = law(values - mean, log_scale, 1 / (count - 1), levels == 0, levels == count - 1)
    joint = logits.log_softmax(dim=1)[:, None] + mass.cumsum(dim=1)  # (N, C, M, ...)
    log_p = joint.logsumexp(dim=2)  # of the channels up to each one
    return -log_p.diff(dim=1, prepend=torch.zeros_like(log_p[:, :1]))


def pick(logits, noise):
    """The component (N, 1) whose share of [0, 1], by logits (N, M), the noise (N, 1) falls in."""
    shares = logits.softmax(dim=1).cumsum(dim=1)
    return (shares < noise).sum(dim=1, keepdim=True).clamp(max=logits.shape[1] - 1)


def choose(outputs, noise, count):
    """The values (N, C) that uniforms (N, 1 + C) draw from outputs (N, output_count).

    The first uniform picks the component, each of the others a channel, by the inverse of its
    distribution function; a channel is at a level before the next one sees it.
    """
    channels, outputs = noise.shape[1] - 1, at_least_float32(outputs)
    noise = noise.to(outputs.dtype)
    logits, mean, log_scale, coefficient = parts(outputs, channels)
    component = pick(logits, noise[:, :1])[:, None]
    mean, log_scale, coefficient = (
        each.gather(2, component.expand(-1, each.shape[1], -1))[:, :, 0]
        for each in (mean, log_scale, coefficient)
    )
    spread = log_scale.exp() * noise[:, 1:].logit()
    values = torch.empty_like(spread)
    for channel in range(channels):
        value = mean_given(channel, mean, coefficient, values) + spread[:, channel]
        values[:, channel] = from_levels(to_levels(value, count).to(value.dtype), count)
    return values
