"""Keyed randomness: what is drawn depends on what it is for, and on nothing drawn before."""

import hashlib
from contextlib import contextmanager

import torch
from torch import Generator, Tensor


def key(*parts):
    """A 63-bit seed that depends on every part: keyed streams never overlap by adding numbers."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big") >> 1


def keyed_generator(*parts) -> Generator:
    """A generator at the start of the stream named by the parts."""
    return Generator().manual_seed(key(*parts))


def keyed_permutation(count: int, *parts) -> Tensor:
    """A permutation (count,) int64, the same for the same parts, whatever was drawn before."""
    return torch.randperm(count, generator=keyed_generator(*parts))


def reseed(device, *parts):
    """Puts the generators of the CPU and of `device` at the start of the stream named by parts."""
    torch.default_generator.manual_seed(key(*parts))
    if device.type == "cpu":
        return
    module = torch.get_device_module(device)
    if hasattr(module, "device"):  # it may have several, of which it would seed the current one
        with module.device(device):
            module.manual_seed(key(*parts))
    else:
        module.manual_seed(key(*parts))


@contextmanager
def stream(device: torch.device, *parts):
    """The stream named by parts inside; afterwards the generators are as they were before."""
    accelerators = [device] if device.type != "cpu" else []
    with torch.random.fork_rng(accelerators, device_type=device.type):
        reseed(device, *parts)
        yield
