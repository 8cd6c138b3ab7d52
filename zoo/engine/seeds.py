"""Keyed randomness: random numbers depend on a key, not on what was drawn before."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator, Tensor


def run_seed() -> int:
    """Return the seed of this run, which Lightning's seed_everything sets; 0 if it was not."""
    return int(os.environ.get("PL_GLOBAL_SEED", 0))


def key(*parts: object) -> int:
    """Hash parts, such as a seed and a batch number, to a seed of 63 bits.

    Unlike sums of numbers, keys of different parts do not coincide.
    """
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big") >> 1


def keyed_generator(*parts: object) -> Generator:
    """Return a CPU generator seeded with the key of the parts."""
    return Generator().manual_seed(key(*parts))


def keyed_permutation(count: int, *parts: object) -> Tensor:
    """Return a permutation (count,) int64 that depends only on the parts."""
    return torch.randperm(count, generator=keyed_generator(*parts))


def reseed(device: torch.device, *parts: object) -> None:
    """Seed the global generators of the CPU and of a device with the key of the parts."""
    torch.default_generator.manual_seed(key(*parts))
    if device.type == "cpu":
        return
    module = torch.get_device_module(device)
    if hasattr(module, "device"):  # manual_seed seeds the current one of several
        with module.device(device):
            module.manual_seed(key(*parts))
    else:
        module.manual_seed(key(*parts))


@contextmanager
def stream(device: torch.device, *parts: object) -> Iterator[None]:
    """Reseed for the block, and restore the state of the generators afterwards."""
    accelerators = [device] if device.type != "cpu" else []
    with torch.random.fork_rng(accelerators, device_type=device.type):
        reseed(device, *parts)
        yield
