"""The benchmark of training compares the same mathematics and measures whole periods."""

import pytest

from benchmarks import train


def test_the_time_of_a_batch_is_measured_over_all_periods_but_the_first():
    ends = [100, 101, 107, 108, 116, 117, 125]  # in seconds; a period is two batches
    assert train.per_batch(ends[:6], 2) == pytest.approx(1e3 * (7 + 9) / 2 / 2)


@pytest.mark.parametrize("name", ["wgan_digits", "wgan_gp_mlp"])
def test_both_loops_have_the_same_losses(name, monkeypatch):
    loop, model, period, periods = train.CASES[name]
    small = {name: (loop, model | {"width": 4}, period, periods)}
    monkeypatch.setattr(train, "CASES", small)
    assert train.difference(name) < train.TOLERANCE

    def higher_lr(model, images):
        model.hparams.lr *= 1.5
        yield from loop(model, images)

    small[name] = (higher_lr, model | {"width": 4}, period, periods)
    assert train.difference(name) > train.TOLERANCE
