"""Start a new run from the weights of another: `python -m zoo.fit init=wgan_digits`."""

import sys
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities import rank_zero_only
from torch import nn

from zoo.config.catalog import dotted_path, name_of
from zoo.config.errors import UserError
from zoo.runs import hub
from zoo.runs.loaded_checkpoint import LoadedCheckpoint, read
from zoo.runs.pretrained import FOLDER

INITIALIZED = "initialized"  # buffer of networks that are initialized from data
NAMED = 5  # tensors listed in a message


def load_initial_weights_(model: Any, checkpoint: str | Path) -> None:
    """Copy the weights of a checkpoint into a new model, and print how many tensors fit.

    Tensors fit that have the same name and shape in both models. The classes may differ. Weights
    are those of training, not their averages, so that all players belong together. The model's
    checkpoints then name where it started: see `record`.

    Args:
        model: The model before training, a GenerativeModule.
        checkpoint: See zoo.runs.loaded_checkpoint.read.

    Raises:
        UserError: The checkpoint cannot be read, or no tensor fits.
    """
    loaded, own = read(checkpoint), model.state_dict()
    stored = loaded.content["state"]
    fitting = {name: t for name, t in stored.items() if name in own and t.shape == own[name].shape}
    if not fitting:
        raise unfit(model, checkpoint, loaded.content)
    if len(fitting) < len(own):  # new layers need their initialization from data, if there is one
        fitting = {k: t for k, t in fitting.items() if k.rpartition(".")[2] != INITIALIZED}
    model.load_state_dict(own | fitting)
    model.init = record(checkpoint, loaded)
    for line in (f"{len(fitting)} of {len(own)} tensors copied", *misfits(stored, own)):
        rank_zero_only(print)(f"init={checkpoint}: {line}", file=sys.stderr)


def record(checkpoint: str | Path, loaded: LoadedCheckpoint) -> dict[str, str]:
    """Return what the checkpoints of a new run store of the one that it started from.

    Args:
        checkpoint: As the user named it.
        loaded: The same after `read`.

    Returns:
        {"class": dotted path, "checkpoint": a pretrained model, hf://user/repo, or a file's path}.
        The path is absolute, so that exports leave it out.
    """
    if hub.is_address(checkpoint):
        name = str(checkpoint)
    elif loaded.path.absolute().parent == FOLDER:
        name = loaded.path.stem
    else:
        name = str(loaded.path.absolute())
    return {"class": loaded.content["class"], "checkpoint": name}


def unfit(model: nn.Module, checkpoint: str | Path, content: dict[str, Any]) -> UserError:
    """Return the error for a checkpoint of which no tensor fits a model.

    Args:
        model: The model.
        checkpoint: As the user named it.
        content: The checkpoint's content.
    """
    own, stored = type(model).__name__, content["class"].rpartition(".")[2]
    message = f"init={checkpoint}: no tensor has the name and shape of one of {own}"
    if content["class"] != dotted_path(model):
        way_out = f"{checkpoint} is a {stored}: use model={name_of(content['class'])}."
    else:
        way_out = f"Choose the settings of the checkpoint's model: {content['hyperparameters']}."
    return UserError(f"{message}. {way_out}")


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
