"""Processes weave their chunks, fail together and wait for the first; none is left hanging."""

import time

import pytest
import torch

from tests import kit
from zoo.engine import distributed as processes


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("sizes", [[3, 3, 1], [2, 2], [2]])
def test_chunks_are_woven_in_order_though_a_process_may_have_none(count, sizes, tmp_path):
    whole = torch.arange(2.0 * sum(sizes)).view(-1, 2)
    chunks = whole.split(sizes)

    def weave():
        rank, world_size = processes.rank_and_world_size()
        assert world_size == count
        return processes.interleave(list(chunks[rank::world_size]), sizes, torch.device("cpu"))

    for found in kit.in_processes(count, weave, tmp_path):
        assert torch.equal(found, whole)


def test_single_process_needs_no_communication():
    assert processes.rank_and_world_size() == (0, 1)
    assert processes.all_gather_object(3) == [3]
    assert processes.on_rank_zero(lambda: 4) == 4
    assert processes.local_rank_zero_first(lambda: 5) == 5


def test_what_fails_on_one_fails_on_all(tmp_path):
    def work():
        def function():
            if processes.rank_and_world_size()[0] == 1:
                raise ValueError("one image is broken")

        return processes.on_all_ranks(function)

    errors = kit.in_processes(3, work, tmp_path)
    assert [str(error) for error in errors] == ["one image is broken"] * 3
    assert {type(error) for error in errors} == {ValueError}


@pytest.mark.parametrize("way", ["on_all_ranks", "on_rank_zero"])
@pytest.mark.parametrize("kind", ["two arguments", "a lambda in it"])
def test_errors_that_cannot_be_pickled_are_sent_as_text(way, kind, tmp_path):
    class Odd(Exception):
        def __init__(self, one, other=None):
            super().__init__(one if other is None else f"{one} {other}")
            self.other = (lambda: 0) if kind == "a lambda in it" else other

    def work():
        def fail():
            if processes.rank_and_world_size()[0] == 0:
                raise Odd("cannot", "go")

        try:
            getattr(processes, way)(fail)
        except Exception as error:
            return type(error).__name__, str(error)

    outcomes = kit.in_processes(2, work, tmp_path)
    assert outcomes == [("Odd", "cannot go"), ("RuntimeError", "Odd: cannot go")]


def test_rank_zero_computes_and_all_ranks_get_its_result_or_error(tmp_path):
    def work():
        rank, _ = processes.rank_and_world_size()
        result = processes.on_rank_zero(lambda: {"rank": rank})
        try:
            processes.on_rank_zero(lambda: 1 / rank)
        except ZeroDivisionError as error:
            return result, str(error)

    assert kit.in_processes(2, work, tmp_path) == [({"rank": 0}, "division by zero")] * 2


def test_the_first_goes_before_the_others_and_its_error_stops_them(tmp_path):
    mark = tmp_path / "fetched"

    def work():
        def fetch():
            if processes.rank_and_world_size()[0] == 0:
                time.sleep(0.3)
                mark.touch()
            return processes.rank_and_world_size()[0], mark.exists()

        def fail():
            raise (
                OSError("no network") if processes.rank_and_world_size()[0] == 0 else AssertionError
            )

        fetched = processes.local_rank_zero_first(fetch)
        try:
            processes.local_rank_zero_first(fail)
        except OSError as error:
            return fetched, str(error)

    assert kit.in_processes(3, work, tmp_path) == [((r, True), "no network") for r in range(3)]


def test_the_first_of_each_node_fetches_and_the_others_find_it(tmp_path, monkeypatch):
    """Four processes on two nodes, each with a disk of its own."""

    def work():
        rank, _ = processes.rank_and_world_size()
        monkeypatch.setattr(processes, "node", lambda: f"node{rank // 2}")
        disk = tmp_path / processes.node()

        def fetch():
            disk.mkdir(exist_ok=True)
            found = (disk / "weights").exists()
            if not found:
                time.sleep(0.2)
                (disk / "weights").touch()
            return found

        return processes.local_rank_zero_first(fetch)

    assert kit.in_processes(4, work, tmp_path) == [False, True, False, True]
