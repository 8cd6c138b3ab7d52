"""What the processes of a run tell each other; without torch.distributed, one process alone."""

import pickle
import socket

import torch
from torch import Tensor, distributed
from torchmetrics.utilities.distributed import gather_all_tensors


def rank_and_world_size() -> tuple[int, int]:
    """(rank, world size) of this process."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def interleave(mine: list[Tensor], sizes: list[int], device: torch.device) -> Tensor:
    """All chunks (sum of sizes, F) on the CPU, in order; chunk c is process c mod world_size's.

    mine: the chunks (n, F) of this process. Every process calls it, also one without chunks.
    """
    _, world_size = rank_and_world_size()
    shard = torch.cat(mine) if mine else torch.zeros(0, 0)
    if world_size == 1:
        return shard
    shards = [shard.cpu() for shard in gather_all_tensors(shard.to(device))]
    chunks = [iter(s.split(sizes[rank::world_size])) for rank, s in enumerate(shards)]
    return torch.cat([next(chunks[number % world_size]) for number in range(len(sizes))])


def on_all_ranks(function, *arguments):
    """Calls it on each process; where it fails on one, every process raises, and none waits."""
    result = error = None
    try:
        result = function(*arguments)
    except Exception as failure:
        error = failure
    failures = all_gather_object(portable(error))
    if error is not None:
        raise error
    for failure in failures:
        if failure is not None:
            raise failure
    return result


def on_rank_zero(function, *arguments):
    """Calls it on process 0 alone, and returns its result, or raises its error, on every one."""
    rank, world_size = rank_and_world_size()
    outcome, error = [None, None], None
    if rank == 0:
        try:
            outcome[0] = function(*arguments)
        except Exception as failure:
            error = failure
            outcome[1] = portable(error)
    if world_size > 1:
        distributed.broadcast_object_list(outcome)
    if error or outcome[1]:
        raise error or outcome[1]
    return outcome[0]


def local_rank_zero_first(function, *arguments):
    """Call a function on every process, and on the first of each node before the others.

    These find on the node's disk what the first one has fetched.
    """
    rank, _ = rank_and_world_size()
    nodes = all_gather_object(node())
    leads = nodes.index(nodes[rank]) == rank
    first = on_all_ranks(lambda: function(*arguments) if leads else None)
    rest = on_all_ranks(lambda: None if leads else function(*arguments))
    return first if leads else rest


def node() -> str:
    """The name of the machine on which this process runs."""
    return socket.gethostname()


def portable(error):
    """The error, or a RuntimeError of its words if it cannot be sent to another process."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its class does
        return RuntimeError(f"{type(error).__name__}: {error}")


def all_gather_object(value) -> list:
    """The value of each process, in the order of their ranks."""
    _, world_size = rank_and_world_size()
    values = [value] * world_size
    if world_size > 1:
        distributed.all_gather_object(values, value)
    return values
