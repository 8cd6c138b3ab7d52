import torch

from zoo.seeds import key, reseed


def test_keys_do_not_add_up():
    assert key(1, 2) != key(2, 1)
    parts = [(seed, batch, rank) for seed in range(9) for batch in range(9) for rank in range(2)]
    assert len({key(*part) for part in parts}) == len(parts)
    assert 0 <= key("anything") < 2**63


def test_a_stream_begins_anew():
    reseed(torch.device("cpu"), 1, 2)
    first = torch.rand(1)
    reseed(torch.device("cpu"), 1, 2)
    assert torch.equal(first, torch.rand(1))
