"""A cache of tensors on disk, under a hash of everything they depend on."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from zoo.atomic_files import write_bytes


def folder() -> Path:
    """Return the folder of the cache: $ZOO_CACHE, or lightning-zoo in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ZOO_CACHE") or Path(cache, "lightning-zoo"))


def fingerprint(*parts: Any) -> str:
    """Return a hash of tensors and of values that JSON can hold."""
    digest = hashlib.blake2b(digest_size=20)
    for part in parts:
        tensor = isinstance(part, Tensor)
        head = f"{part.dtype} {tuple(part.shape)}" if tensor else json.dumps(part)
        digest.update(head.encode() + b"\0")  # separates the parts, because JSON has no zero byte
        if tensor:
            digest.update(part.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def cached(kind: str, key: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the tensors of a cache entry, or compute and store them.

    A damaged file is computed again.

    Args:
        kind: Subfolder of the cache.
        key: A hash of everything that the tensors depend on.
        compute: Returns the tensors.
    """
    file = folder() / kind / f"{key}.safetensors"
    tensors = read(file)
    if tensors is None:
        # Contiguous, because results depend on the layout: new and cached tensors must be equal.
        tensors = {name: tensor.contiguous() for name, tensor in compute().items()}
        write(file, tensors)
    return tensors


def read(file: Path) -> dict[str, Tensor] | None:
    """Return the tensors of a file, or None if it is missing or damaged."""
    try:
        tensors = load(file.read_bytes())
    except (OSError, SafetensorError):
        return None
    written = tensors.pop("fingerprint", torch.zeros(0)).tolist()
    return tensors if written == list(content(tensors)) else None


def write(file: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors to a file, atomically.

    Raises:
        OSError: The file cannot be written; the message names ZOO_CACHE.
    """
    mark = torch.tensor(list(content(tensors)), dtype=torch.uint8)
    try:
        write_bytes(file, save(tensors | {"fingerprint": mark}))
    except OSError as error:
        raise OSError(
            f"{folder()} cannot be written: the environment variable ZOO_CACHE names another "
            f"folder for cached features. {error}"
        ) from error


def content(tensors: dict[str, Tensor]) -> bytes:
    """Return a hash of tensors with their names."""
    named = [part for name in sorted(tensors) for part in (name, tensors[name])]
    return bytes.fromhex(fingerprint(*named))
