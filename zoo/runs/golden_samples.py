"""Golden samples: the first samples of an exported model, stored to notice when it changes."""

from pathlib import Path
from typing import Any

from torch import Tensor

from zoo.config.errors import UserError
from zoo.engine.conditions import conditions_of
from zoo.engine.sampling import generate
from zoo.runs.checkpoints import load_data, load_model
from zoo.runs.loaded_checkpoint import LoadedCheckpoint, read

COUNT = 4
TOLERANCE = 1e-3  # values are in [-1, 1]; processors and versions of torch round differently


def draw(checkpoint: LoadedCheckpoint) -> dict[str, Tensor]:
    """Draw the golden samples of a checkpoint, with seed 0 and conditions from its test data.

    Returns:
        {"samples": (4, ...), condition: (4, ...)}.

    Raises:
        UserError: The model needs conditions, and its data cannot be read.
    """
    model, conditions = load_model(checkpoint), {}
    if model.conditions:
        data = load_data(checkpoint)
        data.prepare_data()
        conditions = conditions_of(model, data, COUNT) or {}
    return {"samples": generate(model, COUNT, condition=conditions or None), **conditions}


def check(checkpoint: str | Path | LoadedCheckpoint) -> float:
    """Check that a checkpoint still gives its golden samples.

    Args:
        checkpoint: See zoo.runs.loaded_checkpoint.read.

    Returns:
        The largest difference.

    Raises:
        UserError: The checkpoint cannot be read, has none, or they differ by more than TOLERANCE.
    """
    loaded = read(checkpoint)
    conditions: dict[str, Any] = dict(loaded.content.get("golden", {}))
    if "samples" not in conditions:
        raise UserError(f"{loaded.path} has no golden samples: export it with golden=true.")
    expected = conditions.pop("samples")
    samples = generate(load_model(loaded), COUNT, condition=conditions or None)
    if samples.shape != expected.shape:
        raise UserError(
            f"{loaded.path}: its golden samples have the shape {tuple(expected.shape)}, and "
            f"the model gives {tuple(samples.shape)}."
        )
    difference = (samples - expected).abs().max().item()
    if not difference <= TOLERANCE:
        raise UserError(f"{loaded.path}: its golden samples differ by {difference:.3g}.")
    return difference
