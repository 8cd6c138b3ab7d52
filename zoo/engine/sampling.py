"""Samples that depend on a seed and on their place alone, however many processes draw them."""

from zoo.engine.seeds import reseed

CHUNK = 100  # samples drawn at once; chunk c depends on the seed and on c, on nothing else


def draw(model, count, seed=0, condition=None, rank=0, world_size=1):
    """Yields samples (n, ...) as the model gives them, `count` over all; use it in evaluating().

    Chunk c belongs to process c mod world_size. `given`: a batch of `count` conditions.
    """
    for chunk, start in enumerate(range(0, count, CHUNK)):
        if chunk % world_size != rank:
            continue
        stop = min(start + CHUNK, count)
        conditions = condition and {name: values[start:stop] for name, values in condition.items()}
        yield draw_chunk(model, seed, chunk, stop - start, conditions)


def draw_chunk(model, seed, chunk, count, condition=None):
    """The samples (count, ...) of one chunk, a function of the seed and the chunk's number."""
    reseed(model.device, seed, chunk)
    return model.sample(count, condition)
