"""The videos of a split that metrics of videos measure."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from zoo.engine.sampling import CHUNK
from zoo.engine.seeds import keyed_permutation

MAX_CLIPS = 1000


def batches(model: Any, data: Any, split: str, seed: str) -> Iterator[dict[str, Tensor]]:
    """Yield batches of a fixed selection of MAX_CLIPS videos, or of all if there are fewer.

    Args:
        model: The model, which decides what a batch holds.
        data: The data module.
        split: "val" or "test".
        seed: Names the selection.
    """
    source = data.source(split)
    chosen = keyed_permutation(len(source), seed)[:MAX_CLIPS]
    for positions in chosen.split(CHUNK) if len(chosen) else ():
        yield data.prepare_batch(source[positions], model)
