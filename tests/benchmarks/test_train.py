"""The benchmark of training compares the same mathematics, and counts whole moves."""

import pytest

from benchmarks import train


def test_a_batchs_time_is_that_of_whole_moves_after_the_first():
    ends = [100, 101, 107, 108, 116, 117, 125]  # in seconds; a move is two batches
    assert train.per_batch(ends[:6], 2) == pytest.approx(1e3 * (7 + 9) / 2 / 2)


@pytest.mark.parametrize("name", ["wgan_digits", "wgan_gp_mlp"])
def test_both_loops_have_the_same_losses(name, monkeypatch):
    peer, model, period, moves = train.CASES[name]
    small = {name: (peer, model | {"width": 4}, period, moves)}
    monkeypatch.setattr(train, "CASES", small)
    assert train.difference(name) < train.TOLERANCE

    def other(model, images):
        model.hparams.lr *= 1.5
        yield from peer(model, images)

    small[name] = (other, model | {"width": 4}, period, moves)
    assert train.difference(name) > train.TOLERANCE
