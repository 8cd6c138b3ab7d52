import pytest

from benchmarks import scaling


def test_needed_bytes_are_those_of_the_players_that_move(monkeypatch):
    monkeypatch.setitem(scaling.CASES, "wgan", ({"width": 1, "latent_dim": 1}, 5))
    model = scaling.build("wgan")
    critic = sum(p.numel() for p in model.critic.parameters())
    generator = sum(p.numel() for p in model.generator.parameters())
    assert scaling.needed("wgan") == pytest.approx(4 * (critic + generator / 5))


@pytest.mark.parametrize(
    ("strategy", "ratio"), [("turns", 1), ("ddp_find_unused_parameters_true", 2)]
)
def test_turns_send_no_zeros_for_players_that_rest(monkeypatch, strategy, ratio):
    """DCGAN's players have a turn each a batch, in which DDP sends the gradients of both."""
    monkeypatch.setitem(scaling.CASES, "dcgan", ({"width": 2, "latent_dim": 2}, 1))
    found = scaling.run("dcgan", 4, scaling.strategies()[strategy], 2)
    assert found["ms"] > 0
    assert found["sent"] / scaling.needed("dcgan") == pytest.approx(ratio, abs=0.02)
