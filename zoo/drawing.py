"""Samples that depend on a seed and on their place alone, however many processes draw them."""

import torch

from datamodules.base import DataModule
from datamodules.loader import shuffled
from zoo.errors import UserError
from zoo.seeds import reseed

CHUNK = 100  # samples drawn at once; chunk c depends on the seed and on c, on nothing else


def draw(model, count, seed=0, given=None, rank=0, world_size=1):
    """Yields samples (n, ...) as the model gives them, `count` over all; use it in evaluating().

    Chunk c belongs to process c mod world_size. `given`: a batch of `count` conditions.
    """
    for chunk, start in enumerate(range(0, count, CHUNK)):
        if chunk % world_size != rank:
            continue
        stop = min(start + CHUNK, count)
        conditions = given and {name: values[start:stop] for name, values in given.items()}
        yield draw_chunk(model, seed, chunk, stop - start, conditions)


def draw_chunk(model, seed, chunk, count, given=None):
    """The samples (count, ...) of one chunk, a function of the seed and the chunk's number."""
    reseed(model.device, seed, chunk)
    return model.sample(count, given)


def conditions(model, data, count, start=0):
    """The batch of `count` conditions that a model must be given, of test samples; None if none.

    They are those of a fixed choice, from its number `start` on, over and over. Raises UserError
    for data that have no test samples.
    """
    if not model.conditions:
        return None
    source = data.source("test") if isinstance(data, DataModule) else []
    if not len(source):
        raise UserError(
            f"{type(model).__name__} must be given {' and '.join(model.conditions)} to sample, and "
            "there are no test data to take them from."
        )
    chosen = shuffled(len(source), "conditions")[torch.arange(start, start + count) % len(source)]
    batch = {name: values.to(model.device) for name, values in source[chosen].items()}
    batch = data.on_after_batch_transfer(batch, 0)
    return {name: batch[name] for name in model.conditions}
