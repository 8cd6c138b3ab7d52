"""Exported models: two files that hold tensors and JSON only, to share and to load anywhere."""

import hashlib
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from zoo import strict_json
from zoo.atomic_files import write_bytes, write_text
from zoo.config.catalog import ROOT
from zoo.config.errors import UserError
from zoo.config.local_settings import is_local
from zoo.config.stored_arguments import read_arguments
from zoo.runs import golden_samples
from zoo.runs.loaded_checkpoint import LoadedCheckpoint, read

LEFT_OUT = ("run", "state", "averages", "golden", "sha256")  # tensors, and what only resuming needs


def export_model(
    checkpoint: str | Path | LoadedCheckpoint,
    out: str | Path,
    half: bool = False,
    golden: bool = False,
) -> None:
    """Write <out>.safetensors (all players, averages, golden samples) and <out>.json (the rest).

    Args:
        checkpoint: See zoo.runs.loaded_checkpoint.read.
        out: Path of the two files without their endings.
        half: Store floating-point weights as float16. They are float32 again when loaded.
        golden: Also store the first samples of the exported model: see zoo.runs.golden_samples.

    Raises:
        UserError: The checkpoint is missing, damaged, or not of this zoo, a weight is too large for
            float16, or the conditions of golden samples cannot be read.
    """
    loaded = read(checkpoint)
    content = loaded.content
    groups = {"state": content["state"], **content["averages"]}
    if half:
        groups = {name: to_half(state, loaded.path) for name, state in groups.items()}
    averages = {name: state for name, state in groups.items() if name != "state"}
    exported = content | {"state": groups["state"], "averages": averages}
    if golden:
        groups["golden"] = golden_samples.draw(LoadedCheckpoint(loaded.path, exported))
    tensors = {f"{group}/{name}": t for group, state in groups.items() for name, t in state.items()}
    weights = save({name: tensor.clone().contiguous() for name, tensor in tensors.items()})
    write_bytes(f"{out}.safetensors", weights)
    sha256 = {"sha256": hashlib.sha256(weights).hexdigest()}
    write_text(f"{out}.json", strict_json.dumps(description(loaded) | sha256, exact=True) + "\n")


def description(checkpoint: LoadedCheckpoint) -> dict[str, Any]:
    """Return what the JSON file holds: class, settings, training data, results and their source."""
    content = {k: v for k, v in checkpoint.content.items() if k not in LEFT_OUT}
    for name in ("data", "init"):
        if content.get(name) is not None:
            content[name] = {k: v for k, v in content[name].items() if not is_local(k, v)}
    file = checkpoint.path.parent.parent / "arguments.json"
    if checkpoint.path.suffix == ".ckpt" and file.exists():
        content["arguments"] = [argument.lstrip("+") for argument in read_arguments(file)]
    if "arguments" in content:  # of the run, or of an export that is exported again
        settings = content["arguments"]
        content["arguments"] = [a for a in settings if not is_local(*a.partition("=")[::2])]
    return content | {"zoo_version": version("lightning-zoo"), "commit": commit()}


def commit() -> str | None:
    """Return the commit of the zoo's source tree, None where it is not a git repository.

    An installed package may lie in another repository, whose commit would be wrong.
    """
    if not (ROOT / ".git").exists():
        return None
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no git
        return None
    return found.stdout.strip() or None


def to_half(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Convert floating-point tensors to float16.

    Raises:
        UserError: A value is too large.
    """
    half = {k: t.half() if t.is_floating_point() else t for k, t in state.items()}
    for name, tensor in half.items():
        if not torch.equal(tensor.isfinite(), state[name].isfinite()):
            raise UserError(f"{path}: {name} is too large for float16. Export with half=false.")
    return half
