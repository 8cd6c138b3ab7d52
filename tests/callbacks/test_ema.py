"""Averages of weights, in closed form."""

import math

import pytest
import torch
from torch import nn

from callbacks.ema import EMA
from tests import kit
from zoo.base import GenerativeModule


class Ramp(GenerativeModule):
    """The generator's weight falls by 1 on each second batch; the critic's on each."""

    def __init__(self, **shared):
        super().__init__(**shared)
        self.generator = nn.Linear(1, 1, bias=False)
        self.critic = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.generator.weight)

    def training_step(self, batch, batch_idx):
        critic_optimizer, generator_optimizer = self.optimizers()
        with self.turn(critic_optimizer):
            self.manual_backward(self.critic.weight.sum())
        if self.every(2):
            with self.turn(generator_optimizer):
                self.manual_backward(self.generator.weight.sum())

    def sample(self, count, condition=None):
        return torch.zeros(count, 1, 8, 8)

    def configure_optimizers(self):
        players = (self.critic, self.generator)
        return [torch.optim.SGD(player.parameters(), lr=1.0) for player in players]


def test_the_average_follows_the_generators_steps_only(tmp_path):
    """Decays 2/11, then the one that is given, because 3/12 and 4/13 are larger."""
    model = Ramp()
    kit.fit(model, tmp_path, 7, callbacks=[EMA(decay=0.2)])
    assert model.generator.weight.item() == -3
    expected = -(0.2**2 * 9 / 11 * 1 + 0.2 * 0.8 * 2 + 0.8 * 3)
    assert model.averages["generator"].weight.item() == pytest.approx(expected)
    assert "critic" not in model.averages


def warmed_up(steps):
    average = 0.0
    for step in range(1, steps + 1):
        decay = (1 + step) / (10 + step)
        average = decay * average - (1 - decay) * step
    return average


class Constant(Ramp):
    """The generator's weight is 1 from the first step on."""

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()[1]
        with self.turn(optimizer):
            self.manual_backward((self.generator.weight.detach() - 1) * self.generator.weight.sum())


@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
def test_half_precision_does_not_stop_the_average(precision, tmp_path):
    """It is 1 minus the product of the decays; in bfloat16 it would stay near 0.9."""
    model = Constant()
    kit.fit(model, tmp_path, 300, callbacks=[EMA(decay=0.99)], precision=precision)
    decays = [min(0.99, (1 + step) / (10 + step)) for step in range(1, 301)]
    expected = 1 - math.prod(decays)
    average = model.averages["generator"].weight
    assert average.item() == pytest.approx(expected, abs=1e-5)
    with model.evaluating():
        assert model.generator.weight.dtype == model.dtype
        assert model.generator.weight.item() == average.to(model.dtype).item()
    assert average.dtype == torch.float32
    assert average.item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
def test_the_average_continues_after_a_resume(precision, tmp_path):
    first = kit.fit(Ramp(), tmp_path, 4, callbacks=[EMA(decay=0.999)], precision=precision)
    first.save_checkpoint(tmp_path / "c.ckpt")
    model, settings = Ramp(), {"callbacks": [EMA(decay=0.999)], "precision": precision}
    kit.fit(model, tmp_path, 10, checkpoint=tmp_path / "c.ckpt", **settings)
    assert model.averages["generator"].weight.item() == pytest.approx(warmed_up(5))


def test_a_second_training_begins_to_average_anew(tmp_path):
    ema, model = EMA(decay=0.999), Ramp()
    kit.fit(Ramp(), tmp_path, 4, callbacks=[ema])
    kit.fit(model, tmp_path, 4, callbacks=[ema])
    assert model.averages["generator"].weight.item() == pytest.approx(warmed_up(2))


def test_averages_are_no_part_of_the_models_state(tmp_path):
    model = Ramp()
    kit.fit(model, tmp_path, 2, callbacks=[EMA()])
    assert set(model.state_dict()) == {"generator.weight", "critic.weight"}
    assert len(list(model.parameters())) == 2


def test_an_unknown_player_or_decay_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"there is no painter. There are: generator, critic."
    ) as error:
        kit.fit(Ramp(), tmp_path, 1, callbacks=[EMA(players=("painter",))])
    assert "There are: generator, critic. Set callbacks.ema.players=[generator,critic]" in str(
        error.value
    )
    with pytest.raises(ValueError, match="decay=1"):
        EMA(decay=1.0)


def test_a_player_without_parameters_is_refused(tmp_path):
    model = Ramp()
    model.pool = nn.Flatten()
    with pytest.raises(ValueError, match="players: pool has no parameters to average"):
        kit.fit(model, tmp_path, 1, callbacks=[EMA(players=("pool",))])
