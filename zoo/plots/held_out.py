"""The held-out samples that figures show."""

from zoo.engine.seeds import keyed_permutation


def held_out_inputs(model, data, count):
    """A batch of a fixed choice of test images; None where there are none that can be shown."""
    batch = held_out_batch(model, data, count)
    return batch and {name: batch[name] for name in model.needs if name in batch}


def held_out_batch(model, data, count):
    """That batch with all that the data give, as in training."""
    source = data.source("test") if data and model.hparams.image_channels in (1, 3) else []
    if not len(source):
        return None
    chosen = keyed_permutation(len(source), "tests")[:count]
    return data.prepare_batch(source[chosen], model)
