"""Annealed importance sampling against a normalizing constant that is known."""

import math

import torch

from zoo.metrics.ais import ais_log_z, annealed_log_weights, log_mean

LOGITS = torch.tensor([2.0, -1.5, 0.7], dtype=torch.float64)  # of independent bits


def step(states, beta, following):
    """From independent bits of even odds to those with LOGITS, by exact samples of each density."""
    log_ratio = (following - beta) * (states @ LOGITS)
    probabilities = (following * LOGITS).sigmoid().expand(len(states), -1)
    return log_ratio, probabilities.bernoulli()


def samples(count, beta):
    return (beta * LOGITS).sigmoid().expand(count, -1).bernoulli()


def test_both_directions_estimate_log_z():
    torch.manual_seed(0)
    expected = LOGITS.exp().add(1).log().sum()
    found = ais_log_z(
        step, samples(1000, 0), samples(1000, 1), torch.tensor(3 * math.log(2)).double(), 50
    )
    assert list(found) == ["ais_forward_50", "ais_reverse_50"]
    for value in found.values():
        torch.testing.assert_close(value, expected, rtol=0, atol=0.02)


def test_few_steps_are_below_log_z_forward_and_above_it_in_reverse():
    torch.manual_seed(0)
    expected, log_z = LOGITS.exp().add(1).log().sum(), torch.tensor(3 * math.log(2)).double()
    runs = [ais_log_z(step, samples(1, 0), samples(1, 1), log_z, 2) for _ in range(2000)]
    forward, reverse = (torch.stack([run[kind] for run in runs]).mean() for kind in runs[0])
    assert forward < expected - 0.1
    assert reverse > expected + 0.1


def test_the_mean_weight_has_no_bias_and_the_last_step_needs_no_transition():
    torch.manual_seed(0)
    weights = annealed_log_weights(step, samples(200_000, 0), [0.0, 0.4, 1.0])
    ratio = (LOGITS.exp() + 1).prod() / 8
    torch.testing.assert_close(weights.exp().mean(), ratio, rtol=0.02, atol=0)
    torch.testing.assert_close(log_mean(weights), weights.exp().mean().log())
    assert weights.dtype == torch.float64
