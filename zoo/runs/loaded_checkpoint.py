"""Checkpoints and exported models: finding the file, reading it once and checking its content."""

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

from zoo import strict_json
from zoo.config.errors import UserError, did_you_mean
from zoo.runs import hub
from zoo.runs.integrity import check_archive, check_content, not_a_checkpoint
from zoo.runs.pretrained import FOLDER


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A checkpoint or an exported model that has been read and checked.

    Args:
        path: The file.
        content: {class, hyperparameters, data, results, state, averages, ...}. See
            zoo.runs.integrity for the types, and zoo.runs.initial_weights for `init`. An export may
            also hold `golden` samples.
    """

    path: Path
    content: dict[str, Any]

    @property
    def class_names(self) -> list[str]:
        """The names of the classes of its data, in the order of their labels; [] without names."""
        return self.content.get("class_names", [])


def read(checkpoint: str | Path | LoadedCheckpoint) -> LoadedCheckpoint:
    """Read a checkpoint, unless it has been read already.

    Args:
        checkpoint: Name of a pretrained model, a run's folder (its best checkpoint), a .ckpt file,
            the .json file of an exported model, or hf://user/repo[@revision].

    Raises:
        UserError: The checkpoint is missing, damaged, or not of this zoo.
    """
    if isinstance(checkpoint, LoadedCheckpoint):
        return checkpoint
    path = find(checkpoint)
    try:
        content = read_export(path) if path.suffix == ".json" else read_lightning(path)
    except UserError as error:
        if hub.is_address(checkpoint):
            raise hub.damaged(str(checkpoint), path, error) from error
        raise
    return LoadedCheckpoint(path, content)


def find(checkpoint: str | Path) -> Path:
    """Return the file of a checkpoint. See `read`.

    Raises:
        UserError: There is none.
    """
    if hub.is_address(checkpoint):
        return hub.download(str(checkpoint))
    path = Path(checkpoint)
    if path.is_dir():
        files = [path / "checkpoints" / name for name in ("best.ckpt", "last.ckpt")]
    elif path.suffix == ".safetensors":
        files = [path.with_suffix(".json")]
    else:
        files = [path, Path(f"{checkpoint}.json"), FOLDER / f"{checkpoint}.json"]
    for file in files:
        if file.is_file():
            return file
    if path.is_dir():
        raise UserError(f"There is no checkpoint in {path}/checkpoints.")
    names = sorted(file.stem for file in FOLDER.glob("*.json"))
    near = did_you_mean(str(checkpoint), names) if path.name == str(checkpoint) else ""  # no path
    raise UserError(
        f"There is no checkpoint {checkpoint}.{f' {near}' if near else ''} It must be a run's "
        "folder, a checkpoint file, hf://user/repo, or the name of a pretrained model: "
        "zoo.pretrained() lists them."
    )


def read_lightning(path: Path) -> dict[str, Any]:
    """Read a .ckpt file of Lightning's.

    Raises:
        UserError: It is damaged, or not of this zoo.
    """
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
            "init": ours.get("init"),
            "class_names": ours.get("class_names", []),
            "run": ours["run"] | {"seconds": timer.get("train", 0.0)},
            "batches": content["global_step"],
            "epochs": content["epoch"],
            "state": content["state_dict"],
            "averages": ours["averages"],
        }
    except pickle.UnpicklingError as error:  # torch's message says how to unpickle it regardless
        raise UserError(
            f"{path} is not a checkpoint of this zoo: it holds more than tensors and plain values. "
            "No code in it was run."
        ) from error
    except Exception as error:
        raise not_a_checkpoint(path) from error
    return check_content(content, path)


def read_export(path: Path) -> dict[str, Any]:
    """Read an exported model: a .json file, and the .safetensors file beside it.

    Raises:
        UserError: A file is damaged.
    """
    weights = path.with_suffix(".safetensors")
    try:
        description = strict_json.loads(path.read_text(encoding="utf-8"))
        content = weights.read_bytes()
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not an exported model, or is damaged: {error}") from error
    if not isinstance(description, dict) or not isinstance(description.get("sha256"), str):
        raise UserError(f"{path} is not an exported model, or is damaged: it has no sha256.")
    found = hashlib.sha256(content).hexdigest()
    if found != description["sha256"]:
        raise UserError(f"{weights} is damaged: its sha256 is {found}.")
    try:
        tensors = load(content)
    except Exception as error:  # safetensors raises errors without a common class
        raise UserError(f"{weights} is damaged: {error}") from error
    state: dict[str, Tensor] = {}
    golden: dict[str, Tensor] = {}
    averages: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        owner, _, rest = name.partition("/")
        group = {"state": state, "golden": golden}.get(owner)
        group = averages.setdefault(owner, {}) if group is None else group
        group[rest] = tensor.float() if tensor.dtype == torch.float16 else tensor
    parts = {"state": state, "averages": averages, "golden": golden}
    return check_content(description | parts, path)
