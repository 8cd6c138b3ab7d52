"""Whether a checkpoint is whole: each way in which a file can be damaged is one message."""

import zipfile
from pathlib import Path

from torch import Tensor, nn

from zoo.config.errors import UserError

NONE = type(None)
# What a checkpoint or an export holds, as zoo.runs.checkpoints.read returns it.
KINDS = {"class": str, "hyperparameters": dict, "data": (dict, NONE), "results": dict}
KINDS |= {"state": dict, "averages": dict}


def check_archive(path: Path) -> None:
    """Reads all of a .ckpt file, a zip archive, and compares each part with its checksum.

    torch.load does not: a flipped bit gives it other weights.

    Raises:
        UserError: The file is no zip archive, or a part of it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    except Exception as error:  # zipfile has many kinds for a damaged archive
        raise UserError(f"{path} is no checkpoint of this zoo, or is damaged: {error}") from error
    if damaged:
        raise UserError(f"{path} is damaged: the checksum of {damaged} does not match.")


def check_content(content, path: Path) -> dict:
    """The content of a checkpoint, if it has all parts in their right types; UserError if not."""
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: it holds a {type(content).__name__}, not an object.")
    for name, kind in KINDS.items():
        if name not in content:
            raise UserError(f"{path} is damaged: it has no {name}.")
        if not isinstance(content[name], kind):
            found = type(content[name]).__name__
            raise UserError(f"{path} is damaged: its {name} is of the type {found}.")
    if not isinstance((content["data"] or {"_target_": ""}).get("_target_"), str):
        raise UserError(f"{path} is damaged: its data do not name their class.")
    for state in (content["state"], *content["averages"].values()):
        if not all(isinstance(tensor, Tensor) for tensor in state.values()):
            raise UserError(f"{path} is damaged: its weights are not all tensors.")
    return content


def load_weights(model: nn.Module, content: dict, path: Path) -> None:
    """Copies the weights of a checkpoint to its model, the averaged ones where there are any.

    Raises:
        UserError: A tensor is missing, has the wrong shape, or is none of the model's.
    """
    given = dict(content["state"])
    for player, average in content["averages"].items():
        given |= {f"{player}.{name}": tensor for name, tensor in average.items()}
    own = model.state_dict()
    what = f"{path} does not fit {type(model).__name__}"
    for name in own:
        if name not in given:
            raise UserError(f"{what}: the tensor {name} is missing.")
    if surplus := given.keys() - own.keys():
        raise UserError(f"{what}: it has no tensor {min(surplus)}.")
    try:
        model.load_state_dict(given)
    except RuntimeError as error:  # a module may accept other shapes: GLO's table of latents
        for name, tensor in own.items():
            if given[name].shape != tensor.shape:
                shapes = tuple(given[name].shape), tuple(tensor.shape)
                raise UserError(
                    f"{what}: the shape of {name} is {shapes[0]}, not {shapes[1]}."
                ) from error
        raise
