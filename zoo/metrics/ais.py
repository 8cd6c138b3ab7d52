"""Annealed importance sampling (Neal 2001, arXiv physics/9803008): ratios of normalizing constants.

The estimate of the ratio itself has no bias. That of its logarithm has one, by Jensen's inequality,
and the sign depends on the direction:

    forward   from a simple density to the model: log Z, and so -log p(x), is too low on average
    reverse   from samples of the model to the simple density: both are too high on average

Two estimates that agree are both close to log Z (Grosse, Ghahramani, Adams 2015, arXiv 1511.02543).
The reverse one needs exact samples of the model. Samples of a Markov chain that has not converged
can make it too low.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from zoo.precision import widest

# (states (M, D), b, b') -> log f_b'(x) - log f_b(x), (M,), and the next states (M, D)
Step = Callable[[Tensor, float, float], tuple[Tensor, Tensor]]


def annealed_log_weights(step: Step, states: Tensor, betas: list[float]) -> Tensor:
    """Return the logarithm of importance weights (M,), whose mean estimates Z_last / Z_first.

    Args:
        step: Gets states and two neighbors b, b' of `betas`. It returns the log-ratio of the
            unnormalized densities f_b' and f_b at the states, and new states from a transition that
            leaves f_b' invariant.
        states: Samples (M, D) of the first density.
        betas: The densities between which the states move, such as 0, 0.001 ... 1, or 1 ... 0.
    """
    total = torch.zeros(len(states), device=states.device, dtype=widest(states.device))
    for beta, following in pairwise(betas):
        log_ratio, states = step(states, beta, following)
        total += log_ratio
    return total


def log_mean(log_weights: Tensor) -> Tensor:
    """Return the logarithm of the mean weight, a scalar, of log-weights (M,)."""
    return log_weights.logsumexp(dim=0) - math.log(len(log_weights))


def ais_log_z(
    step: Step, forward: Tensor, reverse: Tensor, log_z: Tensor, count: int
) -> dict[str, Tensor]:
    """Estimate the logarithm of a model's normalizing constant in both directions.

    Args:
        step: See `annealed_log_weights`. The density is the simple one at 0 and the model at 1.
        forward: Samples (M, D) of the simple density.
        reverse: Samples (M, D) of the model.
        log_z: The logarithm of the simple density's normalizing constant.
        count: Number of steps between the two densities.

    Returns:
        {"ais_forward_<count>": log Z, "ais_reverse_<count>": log Z}.
    """
    betas = [number / count for number in range(count + 1)]
    up = log_mean(annealed_log_weights(step, forward, betas))
    down = log_mean(annealed_log_weights(step, reverse, betas[::-1]))
    return {f"ais_forward_{count}": log_z + up, f"ais_reverse_{count}": log_z - down}
