"""Start a new run from the weights of another: `python -m zoo.fit init=wgan_digits`."""

import sys
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities import rank_zero_only
from torch import nn

from zoo.config.errors import UserError
from zoo.runs.loaded_checkpoint import read

NAMED = 5  # tensors listed in a message


def load_initial_weights_(model: nn.Module, checkpoint: str | Path) -> None:
    """Copy the weights of a checkpoint into a new model, and print which tensors do not fit.

    Tensors fit that have the same name and shape in both models. The classes may differ. Weights
    are those of training, not their averages, so that all players belong together.

    Args:
        model: The model before training.
        checkpoint: See zoo.runs.loaded_checkpoint.read.

    Raises:
        UserError: The checkpoint cannot be read, or no tensor fits.
    """
    loaded, own = read(checkpoint), model.state_dict()
    stored = loaded.content["state"]
    fitting = {name: t for name, t in stored.items() if name in own and t.shape == own[name].shape}
    if not fitting:
        raise UserError(
            f"init={checkpoint}: no tensor of {loaded.content['class']} has the name and shape of "
            f"one of {type(model).__name__}. Choose the settings of the checkpoint's model: "
            f"{loaded.content['hyperparameters']}."
        )
    model.load_state_dict(own | fitting)
    for problem in misfits(stored, own):
        rank_zero_only(print)(f"init={checkpoint}: {problem}", file=sys.stderr)


def misfits(stored: dict[str, Any], own: dict[str, Any]) -> list[str]:
    """Describe the tensors of a checkpoint and a model that do not fit each other.

    Args:
        stored: {name: tensor} of the checkpoint.
        own: {name: tensor} of the model.

    Returns:
        One line for each kind of misfit.
    """
    shapes = [
        f"{name} {tuple(stored[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in stored and stored[name].shape != own[name].shape
    ]
    kinds = {
        "of another shape, not loaded": shapes,
        "not in the checkpoint, initialized as usual": [name for name in own if name not in stored],
        "not in the model, not loaded": [name for name in stored if name not in own],
    }
    return [
        f"{len(names)} tensors {kind}: {listed(names)}" for kind, names in kinds.items() if names
    ]


def listed(names: list[str]) -> str:
    """Return the first names, and how many there are besides."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
