"""Imports point one way: a layer imports only from the layers above it in LAYERS."""

import ast
from itertools import chain

import pytest

from zoo.config import catalog
from zoo.config.catalog import ROOT

TARGETS = [catalog.target("model", name) for name in catalog.names("model")]
MODELS = sorted({".".join(target.split(".")[:2]) for target in TARGETS})  # the families
COMMANDS = ("zoo.evaluate", "zoo.export", "zoo.fit", "zoo.leaderboard", "zoo.plot", "zoo.probe")
LAYERS = (
    ("zoo.atomic_files", "zoo.precision", "zoo.strict_json", "zoo.taxonomy"),
    ("zoo.config",),
    ("zoo.media",),
    ("zoo.networks",),
    ("zoo.losses",),
    ("zoo.engine",),
    ("zoo.metrics", "datamodules"),
    ("zoo.plots",),
    ("zoo.loggers",),
    ("zoo.runs",),
    ("zoo.base",),
    (*MODELS, "callbacks", "datamodules.codes"),
    ("zoo", *COMMANDS, "zoo.sample", "zoo.table", "zoo.__main__", "experiments"),
)
PLACE = {package: place for place, layer in enumerate(LAYERS) for package in layer}
FILES = sorted(
    file
    for top in ("zoo", "datamodules", "callbacks", "experiments")
    for file in (ROOT / top).rglob("*.py")
)


def package_of(module):
    """The longest name in LAYERS that a module is, or is in; None for other libraries."""
    parts = module.split(".")
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    found = next((name for name in names if name in PLACE), None)
    return found if found != "zoo" or module == "zoo" else f"{module} (in no layer)"


def imported(file):
    """The modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (module_in(node.module, alias.name) for alias in node.names)


def module_in(package, name):
    """package.name where it is a module, else the package: `from zoo import catalog`."""
    path = ROOT.joinpath(*package.split("."), name)
    return f"{package}.{name}" if path.with_suffix(".py").exists() or path.is_dir() else package


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_one_way(file):
    module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    own = package_of(module)
    assert own in PLACE, "a new package or module takes its place in LAYERS"
    others = {name: package_of(name) for name in imported(file)}
    allowed = {None, own, *chain(*LAYERS[: PLACE[own]])}
    wrong = [name for name, package in others.items() if package not in allowed]
    assert not wrong, f"{module} is in {own}, which must not import {wrong}"
