"""Which classes may be imported by name. docs/security.md has the threat model.

Importing a class runs the module that defines it. A class that the user names is imported if it has
the right base class. A class that a file names (a checkpoint, an export, the arguments of a run)
must also be part of the zoo, on PYTHONPATH or named by `trust=`. Models and data may also come from
packages that are installed or imported already. The working directory does not count, because
`python -m` puts it on the path and it may be a downloaded folder.
"""

import os
import site
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from typing import Any

from zoo.config import catalog, class_sources
from zoo.config.errors import UserError

ZOO_PACKAGES = ("zoo", "datamodules", "callbacks")
CALLBACK = "pytorch_lightning.callbacks.callback.Callback"
LOGGER = "pytorch_lightning.loggers.logger.Logger"
MODULE = "torch.nn.modules.module.Module"
LIGHTNING_DATA = "pytorch_lightning.core.datamodule.LightningDataModule"
EXTRACTOR = "zoo.metrics.extractors.base.Extractor"
# The base class that each group requires: of classes that the user names, and that a file names.
BASES = {"model": catalog.MODEL, "data": LIGHTNING_DATA}
BASES |= {"callbacks": CALLBACK, "logger": LOGGER, "extractor": MODULE}
BASES_IN_FILES = BASES | {"data": catalog.DATA, "extractor": EXTRACTOR}
# Groups whose classes in files may be of any installed package.
GROUPS_FROM_INSTALLED_PACKAGES = ("model", "data")
INITIAL_WORKING_DIRECTORY = Path.cwd()

# The file that names the classes; None for the user.
_file: ContextVar[str | Path | None] = ContextVar("file", default=None)
_trusted: ContextVar[tuple[str, ...]] = ContextVar("trusted", default=())


@contextmanager
def trusting(names: str | Sequence[str], chosen: Sequence[str] = ()) -> Iterator[None]:
    """Allow files to name the classes of packages and modules.

    Args:
        names: The value of `trust=`: a dotted name, or several.
        chosen: Dotted names that the user chooses otherwise, as in model=NAME, and which are
            checked there.

    Raises:
        UserError: `trust=` names what Python does not find, which is a misspelling.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        if not class_sources.find_module(name):
            raise UserError(
                f"trust={name}: Python finds no package or module of that name. Correct the name, "
                "or add the folder that contains the package to PYTHONPATH."
            )
    token = _trusted.set((*_trusted.get(), *names, *chosen))
    try:
        yield
    finally:
        _trusted.reset(token)


@contextmanager
def names_from(file: str | Path | None) -> Iterator[None]:
    """Treat the names in the block as those of a file.

    Args:
        file: The file; None for names of the user's.
    """
    token = _file.set(file)
    try:
        yield
    finally:
        _file.reset(token)


def find_class(group: str, name: str) -> catalog.Component:
    """Find a class without importing it.

    Args:
        group: model, data, callbacks, logger or extractor.
        name: Name or dotted path of the class.

    Raises:
        UserError: There is no such class, it lacks the base class of its group, or a file names it
            and its module is not trusted.
    """
    file = _file.get()
    try:
        target = catalog.target(group, name)
    except UserError as error:
        raise error if file is None else UserError(f"{file}: {error}") from error
    base = (BASES if file is None else BASES_IN_FILES)[group]
    if not class_sources.is_a(target, base):
        where = f"{group}={name}" if file is None else f"{file}"
        raise UserError(
            f"{where}: {target} is not a {base.rpartition('.')[2]}. It must be derived from {base}."
        )
    if file is not None:
        _check_origin(group, target, file)
    return catalog.describe(group, name)


def import_class(group: str, name: str) -> Any:
    """Import a class that `find_class` accepts. See there."""
    module, _, name = find_class(group, name).target.rpartition(".")
    return getattr(import_module(module), name)


def packages_to_trust(classes: Iterable[tuple[str, str]]) -> list[str]:
    """Return the packages that `trust=` must name in another process, to load these classes.

    Args:
        classes: (group, dotted path) of classes that a file names.
    """
    found = []
    for group, target in classes:
        module = target.rpartition(".")[0]
        if class_sources.locate(module) and not _is_known(group, module):
            found.append(module.partition(".")[0])
    return list(dict.fromkeys(found))


def _check_origin(group: str, target: str, file: str | Path) -> None:
    """Check that a file may name a class.

    Raises:
        UserError: The class is not trusted.
    """
    module = target.rpartition(".")[0]
    named = any(f"{module}.".startswith(f"{name}.") for name in _trusted.get())
    imported = group in GROUPS_FROM_INSTALLED_PACKAGES and module in sys.modules
    if named or imported or _is_known(group, module):
        return
    raise UserError(
        f"{file} names the class {target}, and loading it would run "
        f"{class_sources.locate(module)}. If you trust that file, add "
        f"trust={module.partition('.')[0]}."
    )


def _is_known(group: str, module: str) -> bool:
    """Return whether a module is part of the zoo, on PYTHONPATH or installed."""
    source = class_sources.locate(module)
    assert source is not None  # `catalog.target` has found it
    parts = module.count(".") + (1 if source.stem == "__init__" else 0)
    place, head = source.resolve().parents[parts], module.partition(".")[0]
    if (head in ZOO_PACKAGES and place == catalog.ROOT.resolve()) or place in _python_path():
        return True
    return group in GROUPS_FROM_INSTALLED_PACKAGES and (
        place in _installed() or place not in _implicit_path()
    )


def _implicit_path() -> set[Path]:
    """Return the folders that Python adds to the path: the working directory and the script's."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    folders = [INITIAL_WORKING_DIRECTORY, Path.cwd(), *([Path(script).parent] if script else [])]
    return {folder.resolve() for folder in folders}


def _python_path() -> set[Path]:
    """Return the folders in PYTHONPATH."""
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {Path(entry).resolve() for entry in entries if entry}


def _installed() -> set[Path]:
    """Return the folders of installed packages, and of editable installations."""
    folders = [Path(folder) for folder in (*site.getsitepackages(), site.getusersitepackages())]
    links = [
        folder / line
        for folder in folders
        for file in folder.glob("*.pth")
        for line in file.read_text(errors="replace").splitlines()
        if line.strip() and not line.startswith(("#", "import"))
    ]
    return {folder.resolve() for folder in (*folders, *links)}
