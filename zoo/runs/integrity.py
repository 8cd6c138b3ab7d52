"""Whether a checkpoint is damaged: each kind of damage has its own message."""

import zipfile
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from zoo.config.errors import UserError

NONE = type(None)
# The types of a checkpoint's or an export's content. See zoo.runs.loaded_checkpoint.
TYPES: dict[str, type | tuple[type, ...]]
TYPES = {"class": str, "hyperparameters": dict, "data": (dict, NONE), "results": dict}
TYPES |= {"state": dict, "averages": dict}


def check_archive(path: Path) -> None:
    """Read a whole .ckpt file, which is a zip archive, and check the checksum of each part.

    torch.load does not check them: a flipped bit would silently change weights.

    Args:
        path: The file.

    Raises:
        UserError: The file is not a zip archive, or a part of it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    except Exception as error:  # zipfile raises many kinds for a damaged archive
        raise not_a_checkpoint(path) from error
    if damaged:
        raise UserError(f"{path} is damaged: the checksum of {damaged} does not match.")


def not_a_checkpoint(path: Path) -> UserError:
    """Return the error for a file of another kind, or that is cut off."""
    return UserError(
        f"{path} is not a checkpoint of this zoo, or is damaged. Choose a run's folder, a file in "
        "its checkpoints/ (.ckpt), the .json file of an exported model, or the name of a "
        "pretrained model."
    )


def check_content(content: Any, path: Path) -> dict[str, Any]:
    """Check that the content of a checkpoint has all parts, of the right types.

    Args:
        content: What the file holds.
        path: The file, for messages.

    Returns:
        The content.

    Raises:
        UserError: A part is missing or of another type.
    """
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: it holds a {type(content).__name__}, not an object.")
    for name, expected in TYPES.items():
        if name not in content:
            raise UserError(f"{path} is damaged: it has no {name}.")
        if not isinstance(content[name], expected):
            found = type(content[name]).__name__
            raise UserError(f"{path} is damaged: its {name} is of the type {found}.")
    if not isinstance(content.get("init"), (dict, NONE)):
        raise UserError(f"{path} is damaged: its init is not an object.")
    if not isinstance((content["data"] or {"_target_": ""}).get("_target_"), str):
        raise UserError(f"{path} is damaged: its data do not name their class.")
    for state in (content["state"], *content["averages"].values()):
        if not isinstance(state, dict) or not all(
            isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
        ):
            raise UserError(f"{path} is damaged: its weights are not all named tensors.")
    return content


def load_weights(model: nn.Module, content: dict[str, Any], path: Path) -> None:
    """Copy the weights of a checkpoint into its model, averaged weights where there are any.

    Args:
        model: The model.
        content: The content of the checkpoint.
        path: The file, for messages.

    Raises:
        UserError: A tensor is missing, has the wrong shape, or does not belong to the model.
    """
    stored = dict(content["state"])
    for player, average in content["averages"].items():
        stored |= {f"{player}.{name}": tensor for name, tensor in average.items()}
    own = model.state_dict()
    misfit = f"{path} does not fit {type(model).__name__}"
    for name in own:
        if name not in stored:
            raise UserError(f"{misfit}: the tensor {name} is missing.")
    if surplus := stored.keys() - own.keys():
        raise UserError(f"{misfit}: it has no tensor {min(surplus)}.")
    try:
        model.load_state_dict(stored)
    except RuntimeError as error:  # not earlier: a module may accept other shapes (GLO)
        for name, tensor in own.items():
            if stored[name].shape != tensor.shape:
                shapes = tuple(stored[name].shape), tuple(tensor.shape)
                raise UserError(
                    f"{misfit}: the shape of {name} is {shapes[0]}, not {shapes[1]}."
                ) from error
        raise
