from contextlib import contextmanager
from types import SimpleNamespace

import torch

from zoo.engine.seeds import key, reseed


def test_keys_do_not_add_up():
    assert key(1, 2) != key(2, 1)
    parts = [(seed, batch, rank) for seed in range(9) for batch in range(9) for rank in range(2)]
    assert len({key(*part) for part in parts}) == len(parts)
    assert 0 <= key("anything") < 2**63


class Accelerators:
    """Stands in for torch.cuda: seeds the current one of several devices."""

    def __init__(self):
        self.seeds, self.current = {}, 0

    @contextmanager
    def device(self, device):
        before, self.current = self.current, device.index
        yield
        self.current = before

    def manual_seed(self, seed):
        self.seeds[self.current] = seed


def test_the_device_that_is_asked_for_is_seeded_and_not_the_current_one(monkeypatch):
    accelerators = Accelerators()
    monkeypatch.setattr(torch, "get_device_module", lambda device: accelerators)
    reseed(torch.device("cuda:1"), 1, 2)
    assert accelerators.seeds == {1: key(1, 2)}
    assert accelerators.current == 0


def test_a_kind_of_device_of_which_there_is_one_is_seeded(monkeypatch):
    seeds = []
    monkeypatch.setattr(
        torch, "get_device_module", lambda d: SimpleNamespace(manual_seed=seeds.append)
    )
    reseed(torch.device("mps"), 1, 2)
    assert seeds == [key(1, 2)]


def test_a_stream_is_reproducible():
    reseed(torch.device("cpu"), 1, 2)
    first = torch.rand(1)
    reseed(torch.device("cpu"), 1, 2)
    assert torch.equal(first, torch.rand(1))
