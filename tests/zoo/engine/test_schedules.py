import pytest
import torch
from torch import nn

from zoo.engine.schedules import linear_decay


def optimizers(*rates):
    return [torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=rate) for rate in rates]


def rates_of(optimizer, schedule, steps):
    """The rate of each step, and the one after the last."""
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def test_each_rate_falls_to_0_within_its_own_number_of_steps_and_stays_there():
    given = optimizers(1.0, 0.5)
    players, schedules = linear_decay(given, 4, 2)
    assert players is given
    first, second = (rates_of(o, s, 5) for o, s in zip(players, schedules, strict=True))
    assert first == pytest.approx([1, 0.75, 0.5, 0.25, 0, 0])
    assert second == pytest.approx([0.5, 0.25, 0, 0, 0, 0])


def test_without_steps_there_is_no_schedule():
    given = optimizers(1.0, 1.0)
    assert linear_decay(given, 0, 0) is given


def test_a_player_that_has_no_step_within_the_decay():
    """Such as a generator that moves at every fifth batch, in a decay of three."""
    players, schedules = linear_decay(optimizers(1.0, 1.0), 3, 0)
    assert rates_of(players[1], schedules[1], 2) == [1, 0, 0]
