"""Trained models: loading them, and exporting them to files that hold tensors and JSON only."""

import hashlib
import json
import pickle
from pathlib import Path

import torch
from safetensors.torch import load, save

from zoo.atomic_files import write_bytes, write_text
from zoo.config import trust
from zoo.config.catalog import ROOT
from zoo.config.composition import converted
from zoo.config.errors import UserError
from zoo.runs.integrity import check_archive, check_content, load_weights
from zoo.runs.memory import check_size

PRETRAINED = ROOT / "zoo" / "pretrained"


def load_model(checkpoint):
    """The model of a checkpoint, on the CPU, in eval mode, with averaged weights if it has them.

    Args:
        checkpoint: name of a pretrained model, a run's folder (its best checkpoint), a .ckpt file,
            or the .json file of an exported model.

    Nothing is unpickled, and only a class that zoo.config.trust allows is imported.

    Raises:
        UserError: The checkpoint is missing, damaged, not of this zoo, or names another class.
    """
    path, content = find(checkpoint), read(checkpoint)
    # Construction draws initial weights, and loading leaves the caller's random numbers alone.
    with trust.names_from(path), torch.random.fork_rng(devices=[]):
        model = new("model", content["class"], content["hyperparameters"], path)
    load_weights(model, content, path)
    return model.eval()


def new(group, target, values, path, changes=()):
    """The object of a class that the file at `path` names; UserError if it cannot be made.

    Args:
        group: model or data.
        target: dotted path of the class.
        values: what the file gives its constructor.
        path: the file.
        changes: {parameter: value} of the user's, which go before those of the file.
    """
    component = trust.find_class(group, target)
    # A class may decide parameters of its base: those are no longer its own.
    values = {name: value for name, value in values.items() if name in component.parameters}
    values = converted(values | dict(changes), component.parameters, group)
    cls = trust.import_class(group, target)
    if group == "model":
        check_size(cls, values)
    try:
        return cls(**values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{path}: {component.target} cannot be built: {error}") from error


def load_data(checkpoint, node=None):
    """The datamodule of a node, or, if it has no `_target_`, a checkpoint's own so changed.

    A checkpoint's data are never downloaded unless the node says so.

    Raises:
        UserError: The checkpoint does not say what data its model was trained on, or the class that
            it names is not imported.
    """
    node = node or {}
    if "_target_" in node:
        return build("data", node)
    path, own = find(checkpoint), read(checkpoint)["data"]
    if own is None:
        raise UserError(f"{checkpoint} does not say what data it was trained on: use data=NAME.")
    with trust.names_from(path):
        values = {name: value for name, value in own.items() if name != "download"}
        return new("data", own["_target_"], values, path, node)


def class_names(checkpoint: str | Path) -> list[str]:
    """The names of the classes of a checkpoint's data, in the order of their labels; [] if none."""
    return read(checkpoint).get("class_names", [])


def read(checkpoint):
    """{class, hyperparameters, data, results, state, averages} of a checkpoint."""
    path = find(checkpoint)
    return read_export(path) if path.suffix == ".json" else read_lightning(path)


def find(checkpoint):
    """The file that a name, a folder or a path stands for."""
    path = Path(checkpoint)
    if path.is_dir():
        files = [path / "checkpoints" / name for name in ("best.ckpt", "last.ckpt")]
    elif path.suffix == ".safetensors":
        files = [path.with_suffix(".json")]
    else:
        files = [path, Path(f"{checkpoint}.json"), PRETRAINED / f"{checkpoint}.json"]
    for file in files:
        if file.is_file():
            return file
    if path.is_dir():
        raise UserError(f"There is no checkpoint in {path}/checkpoints.")
    known = ", ".join(sorted(file.stem for file in PRETRAINED.glob("*.json")))
    raise UserError(
        f"There is no checkpoint {checkpoint}: it must be a run's folder, a checkpoint file, or a "
        f"pretrained model ({known})."
    )


def read_lightning(path):
    """The content of a .ckpt file of Lightning's; UserError if it is damaged or not of this zoo."""
    check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        ours = content["zoo"]
        timer = content.get("callbacks", {}).get("Timer", {}).get("time_elapsed", {})
        content = {
            "class": ours["class"],
            "hyperparameters": content["hyper_parameters"],
            "data": ours["data"],
            "results": ours["results"],
            "seed": ours["seed"],
            "class_names": ours.get("class_names", []),
            "run": ours["run"] | {"seconds": timer.get("train", 0.0)},
            "batches": content["global_step"],
            "epochs": content["epoch"],
            "state": content["state_dict"],
            "averages": ours["averages"],
        }
    except pickle.UnpicklingError as error:  # torch's own text tells how to unpickle all the same
        raise UserError(
            f"{path} is no checkpoint of this zoo: it holds more than tensors and plain values. "
            "Nothing of it was run."
        ) from error
    except Exception as error:
        text = f"{type(error).__name__} {error}".partition("\n")[0]
        raise UserError(f"{path} is no checkpoint of this zoo, or is damaged: {text}") from error
    return check_content(content, path)


def read_export(path):
    """The content of an exported model; UserError if it is damaged."""
    weights = path.with_suffix(".safetensors")
    try:
        description, content = json.loads(path.read_text(encoding="utf-8")), weights.read_bytes()
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is no exported model, or is damaged: {error}") from error
    if not isinstance(description, dict) or not isinstance(description.get("sha256"), str):
        raise UserError(f"{path} is no exported model, or is damaged: it has no sha256.")
    found = hashlib.sha256(content).hexdigest()
    if found != description["sha256"]:
        raise UserError(f"{weights} is damaged: its sha256 is {found}.")
    try:
        tensors = load(content)
    except Exception as error:  # safetensors has no one kind
        raise UserError(f"{weights} is damaged: {error}") from error
    state, averages = {}, {}
    for name, tensor in tensors.items():
        owner, _, rest = name.partition("/")
        if owner == "state":
            state[rest] = tensor
        else:
            averages.setdefault(owner, {})[rest] = tensor
    return check_content(description | {"state": state, "averages": averages}, path)


def export_model(checkpoint, out):
    """Writes <out>.safetensors (all players, averages) and <out>.json (everything else)."""
    content = read(checkpoint)
    content.pop("run", None)  # for resuming, which an export is not for
    state, averages = content.pop("state"), content.pop("averages")
    tensors = {f"state/{name}": tensor for name, tensor in state.items()}
    for player, average in averages.items():
        tensors |= {f"{player}/{name}": tensor for name, tensor in average.items()}
    weights = save({name: tensor.clone().contiguous() for name, tensor in tensors.items()})
    write_bytes(f"{out}.safetensors", weights)
    description = content | {"sha256": hashlib.sha256(weights).hexdigest()}
    write_text(f"{out}.json", json.dumps(description, indent=2) + "\n")


def build(group, node):
    """The object of {"_target_": dotted path or name, parameter: value}, as the user describes it.

    Raises:
        UserError: There is no such class, or it lacks the base class of its group.
    """
    values = {name: value for name, value in node.items() if name != "_target_"}
    parameters = trust.find_class(group, node["_target_"]).parameters
    return trust.import_class(group, node["_target_"])(**converted(values, parameters, group))
