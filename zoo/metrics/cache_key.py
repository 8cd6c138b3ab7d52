"""What a cached number depends on: code, settings, weights and versions."""

import sys
import sysconfig
import uuid
from functools import cache
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import PIL
import torch
import torchvision
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from zoo.metrics.cache import fingerprint

PACKAGES = ("zoo", "datamodules")  # all of their code is hashed
VERSIONS = {library.__name__: library.__version__ for library in (np, PIL, torch, torchvision)}
# Attributes of a module that belong to torch and Lightning.
NOT_SETTINGS = {*vars(nn.Module()), *vars(LightningModule()), "_compiled_call_impl"}


def identity(module: nn.Module, *others: type) -> str:
    """Return a hash of what a module computes.

    All code of the zoo is hashed. For classes from elsewhere, the files of their modules and of the
    modules that they import from are hashed, so that a change of a helper changes the hash. Imports
    inside functions are not followed. For installed libraries, the version is hashed instead of the
    code. A setting that cannot be hashed, such as a function, makes the hash unique, so that it is
    never found in the cache.

    Args:
        module: Its classes, settings, weights and kind of device are hashed.
        others: Further classes whose code is hashed.

    Returns:
        A hexadecimal string.
    """
    classes = {type(part) for part in module.modules()}.union(*(c.__mro__ for c in others))
    parts = [str(module), str(getattr(module, "hparams", "")), device_of(module).type, VERSIONS]
    parts += [code_of_packages(), *code_of(classes)]
    for name, part in module.named_modules():
        for attribute, value in vars(part).items():
            if attribute not in NOT_SETTINGS:
                parts += [name, attribute, plain(value)]
    return fingerprint(*parts, *chain.from_iterable(module.state_dict().items()))


def device_of(module: nn.Module) -> torch.device:
    """Return the device of a module's parameters; the CPU if it has none."""
    return next(module.parameters(), torch.zeros(0)).device


@cache
def code_of_packages() -> str:
    """Return a hash of all Python files of PACKAGES."""
    parts = []
    for package in PACKAGES:
        root = Path(str(sys.modules[package].__file__)).parent
        for file in sorted(root.rglob("*.py")):
            parts += [package, file.relative_to(root).as_posix(), file.read_text()]
    return fingerprint(*parts)


def code_of(classes: set[type]) -> list[str]:
    """Return the code of classes' modules, of their ancestors' modules, and of imported modules.

    For installed libraries, return name and version instead.
    """
    waiting = [ancestor.__module__ for cls in classes for ancestor in cls.__mro__]
    found = {}
    while waiting:
        name = waiting.pop()
        if name in found or name.partition(".")[0] in PACKAGES:
            continue
        module = sys.modules.get(name)
        if is_installed(module):
            found[name] = f"{name} {version_of(name)}"
            continue
        found[name] = source_of(module)
        waiting += [imported for value in vars(module).values() for imported in origin(value)]
    return sorted(found.values())


def is_installed(module: ModuleType | None) -> bool:
    """Return whether a module belongs to Python or to an installed library."""
    if module is None:
        return False
    paths = sysconfig.get_paths()
    file = getattr(module, "__file__", None)
    if file is None:
        return module.__name__ in sys.builtin_module_names
    libraries = (paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return any(Path(file).is_relative_to(library) for library in libraries)


def version_of(name: str) -> str:
    """Return the version of the library of a module's name, or ""."""
    return str(getattr(sys.modules.get(name.partition(".")[0]), "__version__", ""))


def source_of(module: ModuleType | None) -> str:
    """Return a module's code, or a unique string if it has no file, such as a notebook."""
    file: Any = getattr(module, "__file__", None)
    try:
        return Path(file).read_text()
    except (OSError, TypeError, UnicodeDecodeError):
        return uuid.uuid4().hex


def origin(value: Any) -> list[str]:
    """Return the name of the module that a global name is, or was imported from."""
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return [name] if isinstance(name, str) and name in sys.modules else []


def plain(value: Any) -> str:
    """Return a string for a tensor or a value of a built-in type; otherwise a unique string."""
    if isinstance(value, Tensor):
        return f"tensor {fingerprint(value)}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} {[plain(element) for element in value]}"
    if isinstance(value, set | frozenset):
        return f"set {sorted(plain(element) for element in value)}"
    if isinstance(value, dict):
        return str([(plain(key), plain(element)) for key, element in value.items()])
    kinds = (str, bytes, int, float, complex, bool, type(None), torch.dtype, torch.device, type)
    return repr(value) if isinstance(value, kinds) else uuid.uuid4().hex
