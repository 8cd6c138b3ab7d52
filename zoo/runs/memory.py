"""Whether a model fits into memory, checked before any is allocated."""

import os
from typing import Any

import torch

from zoo.config.errors import UserError

LESS_MEMORY = "A smaller data.batch_size, data.image_size, data.count or model.width needs less."


def check_size(cls: type, values: dict[str, Any]) -> None:
    """Build a model on the meta device, and compare its weights with this machine's memory.

    Models whose constructor computes with their weights cannot be built there: they pass.

    Args:
        cls: Class of the model.
        values: Arguments of its constructor.

    Raises:
        UserError: The weights and their gradients need more memory than there is.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                model = cls(**values)
        except Exception:  # raised again when the model is built on a real device
            return
    size = 2 * sum(p.numel() * p.element_size() for p in model.parameters())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise UserError(
            f"{cls.__name__} has {size / 2**31:,.0f} GiB of weights and the same amount of "
            f"gradients, but this machine has {memory / 2**30:,.0f} GiB of memory. {LESS_MEMORY}"
        )


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the memory of the CPU or an accelerator is exhausted."""
    words = ("not enough memory", "can't allocate memory", "out of memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    )
