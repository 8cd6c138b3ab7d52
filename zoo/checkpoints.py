"""Trained models: loading them, and exporting them to files that hold tensors and JSON only."""

import hashlib
import json
from importlib import import_module
from pathlib import Path

import torch
from safetensors.torch import load, save

from zoo import catalog
from zoo.catalog import ROOT
from zoo.config import converted
from zoo.engine.files import write_bytes, write_text
from zoo.errors import UserError

PRETRAINED = ROOT / "zoo" / "pretrained"


def load_model(checkpoint):
    """The model of a checkpoint, on the CPU, in eval mode, with averaged weights if it has them.

    Args:
        checkpoint: name of a pretrained model, a run's folder (its best checkpoint), a .ckpt file,
            or the .json file of an exported model.

    Nothing is unpickled, and only a class derived from GenerativeModule is imported. Raises
    UserError for a checkpoint that is missing, damaged or not of this zoo.
    """
    content = read(checkpoint)
    component = described(content["class"], catalog.MODEL)
    # A class may decide parameters of its base: those are no longer its own.
    values = {k: v for k, v in content["hyperparameters"].items() if k in component.parameters}
    model = class_of(component)(**converted(values, component.parameters, "model"))
    state = content["state"]
    for player, average in content["averages"].items():
        state |= {f"{player}.{name}": tensor for name, tensor in average.items()}
    model.load_state_dict(state)
    return model.eval()


def load_on(checkpoint, device):
    """The model of a checkpoint on a device; UserError if the device cannot be used."""
    model = load_model(checkpoint)
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:  # torch has no one error for it
        raise UserError(f"device={device} cannot be used: {error}") from error


def new_data(node):
    """The datamodule that {"_target_": dotted path, parameter: value} describes."""
    component = described(node["_target_"], catalog.DATA)
    values = {name: value for name, value in node.items() if name != "_target_"}
    return class_of(component)(**converted(values, component.parameters, "data"))


def load_data(checkpoint, node=None):
    """The datamodule of a node, or, if it has no `_target_`, a checkpoint's own so changed.

    UserError for a checkpoint that does not say what data its model was trained on.
    """
    node = node or {}
    if "_target_" in node:
        return new_data(node)
    own = read(checkpoint)["data"]
    if own is None:
        raise UserError(f"{checkpoint} does not say what data it was trained on: use data=NAME.")
    return new_data(own | node)


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
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        ours = content["zoo"]
        timer = content.get("callbacks", {}).get("Timer", {}).get("time_elapsed", {})
    except Exception as error:
        raise UserError(f"{path} is no checkpoint of this zoo, or is damaged: {error}") from error
    return {
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


def read_export(path):
    try:
        description = json.loads(path.read_text())
        weights = path.with_suffix(".safetensors").read_bytes()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no exported model, or is damaged: {error}") from error
    found = hashlib.sha256(weights).hexdigest()
    if found != description["sha256"]:
        raise UserError(f"{path.with_suffix('.safetensors')} is damaged: its sha256 is {found}.")
    state, averages = {}, {}
    for name, tensor in load(weights).items():
        owner, _, rest = name.partition("/")
        if owner == "state":
            state[rest] = tensor
        else:
            averages.setdefault(owner, {})[rest] = tensor
    return description | {"state": state, "averages": averages}


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


def described(path, ancestor):
    """The Component of a class that a checkpoint names; UserError unless it has that ancestor."""
    if not catalog.is_a(path, ancestor):
        raise UserError(
            f"{path} is not a {ancestor}, or is not found from here (see PYTHONPATH): "
            "it is not loaded."
        )
    return catalog.describe("class", path)


def class_of(component):
    module, _, name = component.target.rpartition(".")
    return getattr(import_module(module), name)
