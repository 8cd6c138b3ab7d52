"""What a cached number depends on: the code, the settings, the weights, the versions."""

import sys
import sysconfig
import uuid
from functools import cache
from itertools import chain
from pathlib import Path
from types import ModuleType

import numpy as np
import PIL
import torch
import torchvision
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from zoo.metrics.cache import fingerprint

PACKAGES = ("zoo", "datamodules")  # all of their code counts, whatever a module uses of it
VERSIONS = {library.__name__: library.__version__ for library in (np, PIL, torch, torchvision)}
# What torch and Lightning themselves keep in a module.
NOT_SETTINGS = {*vars(nn.Module()), *vars(LightningModule()), "_compiled_call_impl"}


def identity(module: nn.Module, *others: type) -> str:
    """A hash of what a module computes.

    The code is all of the zoo, and, of classes from elsewhere, the files of their modules and of
    those that they import from: an edit of a helper counts. An import inside a function is not
    followed, and of installed libraries the version counts and not the code. What cannot be hashed,
    such as a function among the settings, makes the result unique: nothing is ever found by it.

    Args:
        module: its classes, settings, weights and kind of device are hashed.
        others: classes whose code takes part.

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
    return next(module.parameters(), torch.zeros(0)).device


@cache
def code_of_packages() -> str:
    """A hash of all Python files of PACKAGES."""
    parts = []
    for package in PACKAGES:
        root = Path(sys.modules[package].__file__).parent
        for file in sorted(root.rglob("*.py")):
            parts += [package, file.relative_to(root).as_posix(), file.read_text()]
    return fingerprint(*parts)


def code_of(classes: set[type]) -> list[str]:
    """The code of the modules of classes and of their ancestors, and of what these import from.

    Of installed libraries it is the name and the version.
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
    """Whether a module comes with Python or lies where libraries are installed."""
    if module is None:
        return False
    paths = sysconfig.get_paths()
    file = getattr(module, "__file__", None)
    if file is None:
        return module.__name__ in sys.builtin_module_names
    libraries = (paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return any(Path(file).is_relative_to(library) for library in libraries)


def version_of(name: str) -> str:
    return str(getattr(sys.modules.get(name.partition(".")[0]), "__version__", ""))


def source_of(module: ModuleType | None) -> str:
    """Its code; something unique where there is no file, such as in a notebook."""
    file = getattr(module, "__file__", None)
    try:
        return Path(file).read_text()
    except (OSError, TypeError, UnicodeDecodeError):
        return uuid.uuid4().hex


def origin(value) -> list[str]:
    """The name of the module that a global name was imported from, or that it is."""
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return [name] if isinstance(name, str) and name in sys.modules else []


def plain(value) -> str:
    """What a tensor or a value of Python's own types is; of another, nothing that comes again."""
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
