"""The held-out samples in figures."""

from typing import Any

from torch import Tensor

from zoo.engine.seeds import keyed_permutation


def held_out_inputs(model: Any, data: Any, count: int) -> dict[str, Tensor] | None:
    """Return a batch of held-out images with the keys that the model needs. See held_out_batch."""
    batch = held_out_batch(model, data, count)
    return batch and {name: batch[name] for name in model.needs if name in batch}


def held_out_batch(model: Any, data: Any, count: int) -> dict[str, Tensor] | None:
    """Return a batch of a fixed selection of test images, as in training.

    Args:
        model: The model.
        data: The data module, or None.
        count: Number of images; there may be fewer.

    Returns:
        None without test images, or if their channels cannot be drawn.
    """
    source = data.source("test") if data and model.hparams.image_channels in (1, 3) else []
    if not len(source):
        return None
    chosen = keyed_permutation(len(source), "tests")[:count]
    return data.prepare_batch(source[chosen], model)
