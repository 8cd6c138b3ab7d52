"""Loading what was trained: models and their data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from zoo.config import trust
from zoo.config.composition import converted
from zoo.config.errors import UserError
from zoo.runs.integrity import load_weights
from zoo.runs.loaded_checkpoint import LoadedCheckpoint, read
from zoo.runs.memory import check_size


def load_model(checkpoint: str | Path | LoadedCheckpoint) -> Any:
    """Load a trained model: on the CPU, in eval mode, with averaged weights if it has them.

    Nothing is unpickled, and only a class that zoo.config.trust allows is imported.

    Args:
        checkpoint: Name of a pretrained model, a run's folder (its best checkpoint), a .ckpt file,
            the .json file of an exported model, hf://user/repo[@revision], or one of these after
            `read`.

    Returns:
        A GenerativeModule.

    Raises:
        UserError: The checkpoint is missing, damaged, not of this zoo, or names another class.
    """
    loaded = read(checkpoint)
    path, content = loaded.path, loaded.content
    # Construction draws initial weights: the caller's random numbers must not depend on it.
    with trust.names_from(path), torch.random.fork_rng(devices=[]):
        model = build_from_file("model", content["class"], content["hyperparameters"], path)
    load_weights(model, content, path)
    return model.eval()


def load_data(checkpoint: str | Path | LoadedCheckpoint, node: dict[str, Any] | None = None) -> Any:
    """Load the data module of a checkpoint, or the one that the user chooses instead.

    A checkpoint's data are never downloaded unless the node says so.

    Args:
        checkpoint: See `load_model`.
        node: {"_target_": name or dotted path, parameter: value} for other data. Without
            `_target_`, the values replace those of the checkpoint's data.

    Raises:
        UserError: The checkpoint does not say what data its model was trained on, or the class that
            it names is not imported.
    """
    node = node or {}
    if "_target_" in node:
        return build("data", node)
    loaded = read(checkpoint)
    own = loaded.content["data"]
    if own is None:
        raise UserError(f"{loaded.path} does not record its training data: set data=NAME.")
    with trust.names_from(loaded.path):
        values = {name: value for name, value in own.items() if name != "download"}
        return build_from_file("data", own["_target_"], values, loaded.path, node)


def build(group: str, node: Mapping[str, Any]) -> Any:
    """Construct an object that the user describes.

    Args:
        group: model, data, callbacks, logger or extractor.
        node: {"_target_": dotted path or name, parameter: value}.

    Raises:
        UserError: There is no such class, or it lacks the base class of its group.
    """
    values = {name: value for name, value in node.items() if name != "_target_"}
    parameters = trust.find_class(group, node["_target_"]).parameters
    return trust.import_class(group, node["_target_"])(**converted(values, parameters, group))


def build_from_file(
    group: str,
    target: str,
    values: Mapping[str, Any],
    path: Path,
    overrides: Mapping[str, Any] | None = None,
) -> Any:
    """Construct an object that a file describes.

    Args:
        group: model or data.
        target: Dotted path of the class.
        values: {parameter: value} of its constructor in the file.
        path: The file.
        overrides: {parameter: value} of the user's, which replace those of the file.

    Raises:
        UserError: The class is not allowed, or refuses the values.
    """
    component = trust.find_class(group, target)
    # Hyperparameters include those of a base class, which the class may fix.
    values = {name: value for name, value in values.items() if name in component.parameters}
    values = converted(values | dict(overrides or {}), component.parameters, group)
    cls = trust.import_class(group, target)
    if group == "model":
        check_size(cls, values)
    try:
        return cls(**values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{path}: {component.target} cannot be built: {error}") from error
