"""Communication between the processes of a run; without torch.distributed there is one process."""

import pickle
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed
from torchmetrics.utilities.distributed import gather_all_tensors

T = TypeVar("T")


def rank_and_world_size() -> tuple[int, int]:
    """Return (rank, world size) of this process."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def interleave(mine: list[Tensor], sizes: list[int], device: torch.device) -> Tensor:
    """Collect chunks of rows from all processes, where chunk c is on process c mod world_size.

    Every process must call it, also one without chunks.

    Args:
        mine: The chunks (n, F) of this process.
        sizes: The number of rows of each chunk, over all processes.
        device: Where tensors are exchanged.

    Returns:
        (sum of sizes, F) on the CPU, in the order of the chunks.
    """
    _, world_size = rank_and_world_size()
    shard = torch.cat(mine) if mine else torch.zeros(0, 0)
    if world_size == 1:
        return shard
    shards = [shard.cpu() for shard in gather_all_tensors(shard.to(device))]
    chunks = [iter(s.split(sizes[rank::world_size])) for rank, s in enumerate(shards)]
    return torch.cat([next(chunks[number % world_size]) for number in range(len(sizes))])


def on_all_ranks(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function on every process. If it fails on one, every process raises."""
    result: Any = None
    error: Exception | None = None
    try:
        result = function(*arguments)
    except Exception as failure:
        error = failure
    failures = all_gather_object(picklable(error))
    if error is not None:
        raise error
    for failure in failures:
        if failure is not None:
            raise failure
    return result


def on_rank_zero(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function on process 0, and return its result or raise its error on every process."""
    rank, world_size = rank_and_world_size()
    outcome: list[Any] = [None, None]  # result, error
    error: Exception | None = None
    if rank == 0:
        try:
            outcome[0] = function(*arguments)
        except Exception as failure:
            error = failure
            outcome[1] = picklable(error)
    if world_size > 1:
        distributed.broadcast_object_list(outcome)
    if error or outcome[1]:
        raise error or outcome[1]
    return outcome[0]


def local_rank_zero_first(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function on the first process of each node, then on the others.

    The others then find on the node's disk what the first process has downloaded.
    """
    rank, _ = rank_and_world_size()
    nodes = all_gather_object(node())
    is_first = nodes.index(nodes[rank]) == rank
    first: Any = on_all_ranks(lambda: function(*arguments) if is_first else None)
    other: Any = on_all_ranks(lambda: None if is_first else function(*arguments))
    return first if is_first else other


def node() -> str:
    """Return the name of the machine on which this process runs."""
    return socket.gethostname()


def picklable(error: Exception | None) -> Exception | None:
    """Return an error, or a RuntimeError with its message if it cannot be pickled."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # pickling an error may fail in any way
        return RuntimeError(f"{type(error).__name__}: {error}")


def all_gather_object(value: T) -> list[T]:
    """Return the value of each process, in the order of their ranks."""
    _, world_size = rank_and_world_size()
    values = [value] * world_size
    if world_size > 1:
        distributed.all_gather_object(values, value)
    return values
