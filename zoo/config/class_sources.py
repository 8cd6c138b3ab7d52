"""Classes found and read in their source files, without importing them."""

import ast
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from zoo.config.signature import Parameter, argument_texts, signature


class Source(NamedTuple):
    """A class in a source file."""

    file: Path
    module: str  # dotted name of the file's module
    node: ast.ClassDef

    @property
    def target(self) -> str:
        """Dotted path of the class."""
        return f"{self.module}.{self.node.name}"

    @property
    def docstring(self) -> str:
        """The docstring of the class, or of its module."""
        return ast.get_docstring(self.node) or ast.get_docstring(parse(self.file)) or ""


def is_a(path: str, ancestor: str) -> bool:
    """Return whether the class at a dotted path derives from the class at another."""
    source = resolve(path)
    return source is not None and derives(source, ancestor)


def derives(source: Source, ancestor: str) -> bool:
    """Return whether a class derives from the class at a dotted path, or is that class."""
    if source.target == ancestor:
        return True
    return any(derives(base, ancestor) for base in bases(source))


def parameters(source: Source) -> dict[str, Parameter]:
    """Read the parameters of a class's constructor.

    If it takes **kwargs, those of the base class are added, except the ones that it passes to
    `super().__init__` itself. A parameter that its class does not describe has the description of
    a base class, whose constructor may lack the parameter.
    """
    return dict(_parameters(source))


@cache
def _parameters(source: Source) -> dict[str, Parameter]:
    """Read the parameters once: a command asks for those of its classes many times."""
    functions = [node for node in source.node.body if isinstance(node, ast.FunctionDef)]
    constructor = next((f for f in functions if f.name == "__init__"), None)
    own = {}
    if constructor is not None:
        own = signature(constructor, source.docstring)
    inherits = constructor is None or constructor.args.kwarg is not None
    passed = _passed_to_super(constructor) if constructor else set()
    texts = descriptions(source)
    for base in bases(source):
        for name, parameter in _parameters(base).items():
            if name in own and not own[name].text:
                own[name] = own[name].described(parameter.text)
            elif name not in own and inherits and name not in passed:
                own[name] = parameter.described(texts.get(name, parameter.text))
    return {name: p if p.text else p.described(texts.get(name, "")) for name, p in own.items()}


@cache
def descriptions(source: Source) -> dict[str, str]:
    """Read {parameter: sentence} from the docstrings of a class and of its base classes."""
    texts = argument_texts(source.docstring)
    for base in bases(source):
        texts = descriptions(base) | texts
    return texts


def _passed_to_super(constructor: ast.FunctionDef) -> set[str]:
    """Return the names in `super().__init__(name=..., **kwargs | {"name": ...})`.

    The second form lets Lightning's load_from_checkpoint pass the values of a checkpoint. The
    dictionary may also be an argument of a call, as in zoo/config/fixed_parameters.py.
    """
    calls = [node for node in ast.walk(constructor) if isinstance(node, ast.Call)]
    calls = [call for call in calls if ast.unparse(call.func) == "super().__init__"]
    keywords = [keyword for call in calls for keyword in call.keywords]
    merged = [node for k in keywords if k.arg is None for node in ast.walk(k.value)]
    pairs = [key for node in merged if isinstance(node, ast.Dict) for key in node.keys]
    keys = [str(key.value) for key in pairs if isinstance(key, ast.Constant)]
    return {*keys, *(keyword.arg for keyword in keywords if keyword.arg)}


def bases(source: Source) -> Iterator[Source]:
    """Yield each base class whose source file is found."""
    file, module, node = source
    imports = _imports(file, module)
    for base in node.bases:
        name = ast.unparse(base)
        head, _, rest = name.partition(".")
        local = classes(file).get(name)
        if local is not None and local is not node:
            yield Source(file, module, local)
        elif head in imports:
            found = resolve(".".join(filter(None, [imports[head], rest])))
            if found:
                yield found


def resolve(path: str, hops: int = 5) -> Source | None:
    """Find the class at a dotted path, through re-exports; None if it is not found.

    Args:
        path: Dotted path of the class.
        hops: Largest number of re-exports to follow.
    """
    module, _, name = path.rpartition(".")
    file = locate(module) if module else None
    if file is None or hops == 0:
        return None
    if name in classes(file):
        return Source(file, module, classes(file)[name])
    imports = _imports(file, module)
    if name in imports:
        return resolve(imports[name], hops - 1)
    starred = (resolve(f"{package}.{name}", hops - 1) for package in imports.get("*", ()))
    return next(filter(None, starred), None)


def named_class(file: Path) -> ast.ClassDef | None:
    """Return the class that has its file's name, without underscores and case."""
    wanted = file.stem.replace("_", "")
    return next((c for name, c in classes(file).items() if name.lower() == wanted), None)


def classes(file: Path) -> dict[str, ast.ClassDef]:
    """Return {name: class} of the classes of a file."""
    return {node.name: node for node in parse(file).body if isinstance(node, ast.ClassDef)}


@cache
def parse(file: Path) -> ast.Module:
    """Parse a source file."""
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


@cache
def find_module(name: str) -> ModuleSpec | None:
    """Find a module or package, also one without a file, without importing its packages."""
    head, *rest = name.split(".")
    try:
        spec = find_spec(head)
    except ValueError:  # an empty name, or a module without a spec, such as __main__
        return None
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(part, spec.submodule_search_locations)
    return spec


def locate(module: str) -> Path | None:
    """Find the source file of a module without importing its packages."""
    spec = find_module(module)
    origin = spec.origin if spec else None
    return Path(origin) if origin and origin.endswith(".py") else None


@cache
def _imports(file: Path, module: str) -> dict[str, Any]:
    """Return {name in the file: dotted path it is imported from}, and "*": [module, ...]."""
    package = module.split(".") if file.stem == "__init__" else module.split(".")[:-1]
    names: dict[str, Any] = {}
    for statement in ast.walk(parse(file)):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                head = alias.name.partition(".")[0]
                names[alias.asname or head] = alias.name if alias.asname else head
        elif isinstance(statement, ast.ImportFrom):
            above = package[: len(package) - statement.level + 1] if statement.level else []
            source = [*above, *filter(None, [statement.module])]
            for alias in statement.names:
                if alias.name == "*":
                    names.setdefault("*", []).append(".".join(source))
                else:
                    names[alias.asname or alias.name] = ".".join([*source, alias.name])
    return names
