"""Whether a model fits into memory, before any is taken."""

import os

import torch

from zoo.config.errors import UserError

LESS_MEMORY = "A smaller data.batch_size, data.image_size, data.count or model.width needs less."


def check_size(cls: type, values: dict) -> None:
    """Build a model without its numbers, and compare its weights with this machine's memory.

    A model that cannot be built so, because its constructor computes with its weights, passes.

    Args:
        cls: the class of the model.
        values: the arguments of its constructor.

    Raises:
        UserError: the weights and as many gradients are more than the memory.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                model = cls(**values)
        except Exception:  # said when it is built in earnest
            return
    size = 2 * sum(p.numel() * p.element_size() for p in model.parameters())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise UserError(
            f"{cls.__name__} has {size / 2**31:,.0f} GiB of weights, and as much of gradients, but "
            f"this machine has {memory / 2**30:,.0f} GiB of memory. {LESS_MEMORY}"
        )


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of the processor or of an accelerator, is exhausted."""
    words = ("not enough memory", "can't allocate memory", "out of memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    )
