"""What the house offers: classes found by file name, signatures read without importing them.

`model=wgan` is the class in `zoo/*/wgan.py` whose name is the file's without underscores and case;
a dotted path (`model=my_package.my_model`) is a module that keeps the same rule, or a class in it.
Nothing is imported, so that help and mistakes answer at once.
"""

import ast
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from zoo.config.errors import UserError, unknown
from zoo.config.signature import MISSING, Parameter, signature

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "data": "datamodules",
    "callbacks": "callbacks",
    "logger": "zoo/loggers",
    "extractor": "zoo/metrics/extractors",
}
MODEL = "zoo.base.GenerativeModule"
DATA = "datamodules.base.DataModule"


@dataclass(frozen=True)
class Component:
    target: str  # dotted path of the class
    text: str  # its docstring
    parameters: dict[str, Parameter]

    @property
    def summary(self):
        """The first line of the docstring."""
        return self.text.partition("\n")[0]

    @property
    def defaults(self):
        return {name: parameter.default for name, parameter in self.parameters.items()}


def names(group):
    """The names that `<group>=` takes."""
    return sorted(_files(group))


def describe(group, name):
    """The Component behind `<group>=<name>`; UserError if there is none."""
    return _component(*_find(group, name))


def target(group, name):
    """The dotted path of the class behind `<group>=<name>`; UserError if there is none."""
    _, module, node = _find(group, name)
    return f"{module}.{node.name}"


def _find(group, name):
    """(file, module, class node) behind `<group>=<name>`."""
    if "." not in name:
        files = _files(group)
        if name not in files:
            raise unknown(f"{group}=", name, sorted(files))
        return files[name], *_named(files[name])
    file = locate(name)
    if file and _class_of(file):
        return file, name, _class_of(file)
    found = _resolve(name)
    if found is None:
        raise UserError(
            f"Nothing is found at {name}: it must be the dotted path of a class, or of a module "
            "whose class has the module's name, in a package that Python can import (see "
            "PYTHONPATH)."
        )
    return found


def recipes():
    """{name: file} of the recipes that `experiment=` finds."""
    return {file.stem: file for file in sorted((ROOT / "experiments").glob("*.yaml"))}


def recipe(name):
    """The file of a recipe, given by name or by path; UserError if there is none."""
    file = recipes().get(name, Path(name).with_suffix(".yaml"))
    if not file.exists():
        raise unknown("experiment=", name, recipes())
    return file


def _component(file, module, node):
    docstring = ast.get_docstring(node) or ast.get_docstring(_parse(file)) or ""
    parameters = _parameters(file, module, node)
    for name, parameter in parameters.items():
        if parameter.default == MISSING:
            raise UserError(
                f"{module}.{node.name}: the default of {name} must be written out as a plain "
                "value (number, string, bool, None or a tuple of these)."
            )
    return Component(f"{module}.{node.name}", docstring, parameters)


def dotted_path(instance: object) -> str:
    """Return where the class of an object can be imported from."""
    return f"{type(instance).__module__}.{type(instance).__qualname__}"


@cache
def _files(group):
    """{name: file} of the classes that `<group>=` finds."""
    if group == "model":
        files = ROOT.glob("zoo/*/*.py")
        return {f.stem: f for f in files if _class_of(f) and _is_a(f, *_named(f), MODEL)}
    package = ROOT / FOLDERS[group]
    found = locate(FOLDERS[group].replace("/", "."))
    if found is None or not found.samefile(package / "__init__.py"):
        raise UserError(f"{found} hides the zoo's {package}: rename it, or run from elsewhere.")
    return {f.stem: f for f in package.glob("*.py") if _class_of(f)}


def _class_of(file):
    wanted = file.stem.replace("_", "")
    return next((c for name, c in _classes(file).items() if name.lower() == wanted), None)


@cache
def _parse(file):
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def _classes(file):
    return {node.name: node for node in _parse(file).body if isinstance(node, ast.ClassDef)}


def is_a(path, ancestor):
    """Whether the class at a dotted path derives from the one at another, read from the sources."""
    found = _resolve(path)
    return found is not None and _is_a(*found, ancestor)


def _is_a(file, module, node, ancestor):
    if f"{module}.{node.name}" == ancestor:
        return True
    return any(_is_a(*base, ancestor) for base in _bases(file, module, node))


def _named(file):
    """(module, class node) of a file of the house."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts), _class_of(file)


def _bases(file, module, node):
    """(file, module, class node) of each base class whose source is found."""
    imports = _imports(file, module)
    for base in node.bases:
        name = ast.unparse(base)
        head, _, rest = name.partition(".")
        local = _classes(file).get(name)
        if local is not None and local is not node:
            yield file, module, local
        elif head in imports:
            found = _resolve(".".join(filter(None, [imports[head], rest])))
            if found:
                yield found


def _resolve(path, hops=5):
    """(file, module, class node) of a dotted path, followed through re-exports; None if none."""
    module, _, name = path.rpartition(".")
    file = locate(module) if module else None
    if file is None or hops == 0:
        return None
    if name in _classes(file):
        return file, module, _classes(file)[name]
    imports = _imports(file, module)
    if name in imports:
        return _resolve(imports[name], hops - 1)
    starred = (_resolve(f"{source}.{name}", hops - 1) for source in imports.get("*", ()))
    return next(filter(None, starred), None)


@cache
def _imports(file, module):
    """{name in the file: dotted path of what it was imported from}; "*": [module, ...]."""
    package = module.split(".") if file.stem == "__init__" else module.split(".")[:-1]
    names = {}
    for statement in ast.walk(_parse(file)):
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


@cache
def locate(module):
    """The source file of a dotted module name, found without importing its packages."""
    head, *rest = module.split(".")
    try:
        spec = find_spec(head)
    except ValueError:  # a module without a spec, such as __main__
        return None
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(part, spec.submodule_search_locations)
    has_source = spec and spec.origin and spec.origin.endswith(".py")
    return Path(spec.origin) if has_source else None


def _parameters(file, module, node):
    """The constructor's parameters, and where it takes **keywords those of the base class.

    Without those that the constructor itself hands to `super().__init__`: they are decided.
    """
    constructor = next((f for f in node.body if getattr(f, "name", "") == "__init__"), None)
    own = signature(constructor) if constructor else {}
    if constructor is None or constructor.args.kwarg is not None:
        decided = _handed_on(constructor) if constructor else set()
        for base in _bases(file, module, node):
            inherited = _parameters(*base).items()
            own |= {k: v for k, v in inherited if k not in own and k not in decided}
    return own


def _handed_on(constructor):
    """The names in `super().__init__(name=..., **given | {"name": ...})`.

    The second form lets Lightning's load_from_checkpoint pass what a checkpoint holds of them.
    """
    calls = [node for node in ast.walk(constructor) if isinstance(node, ast.Call)]
    calls = [call for call in calls if ast.unparse(call.func) == "super().__init__"]
    keywords = [keyword for call in calls for keyword in call.keywords]
    merged = [node for k in keywords if k.arg is None for node in ast.walk(k.value)]
    keys = [key.value for node in merged if isinstance(node, ast.Dict) for key in node.keys]
    return {*keys, *(keyword.arg for keyword in keywords if keyword.arg)}
