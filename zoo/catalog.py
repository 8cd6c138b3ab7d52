"""What the house offers: classes found by file name, signatures read without importing them.

`model=wgan` is the class in `zoo/*/wgan.py` whose name is the file's without underscores and case;
a dotted path (`model=my_package.my_model`) is a module that keeps the same rule, or a class in it.
Nothing is imported, so that help and mistakes answer at once.
"""

import ast
import difflib
import types
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = {"data": "datamodules", "callbacks": "callbacks", "logger": "zoo/loggers"}
MISSING = "???"  # the default of a parameter that has none
PLAIN = {"int": int, "float": float, "str": str, "bool": bool}


class UserError(Exception):
    """A mistake of the user's: shown as one message, without a traceback."""


@dataclass(frozen=True)
class Parameter:
    default: object
    annotation: ast.expr | None


@dataclass(frozen=True)
class Component:
    target: str  # dotted path of the class
    summary: str  # first line of its docstring
    parameters: dict[str, Parameter]

    @property
    def defaults(self):
        return {name: parameter.default for name, parameter in self.parameters.items()}


def unknown(what, name, names):
    """A UserError for a name that is none of `names`: it tells the nearest, or else all."""
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    way_out = f"Did you mean {' or '.join(close)}?" if close else f"There are: {', '.join(names)}."
    return UserError(f"There is no {what}{name}. {way_out}")


def names(group):
    """The names that `<group>=` takes."""
    return sorted(_files(group))


def describe(group, name):
    """The Component behind `<group>=<name>`; UserError if there is none."""
    if "." in name:
        return _dotted(name)
    files = _files(group)
    if name not in files:
        raise unknown(f"{group}=", name, sorted(files))
    return _component(files[name], *_named(files[name]))


def _dotted(path):
    for module, class_name in ((path, None), path.rpartition(".")[::2]):
        file = _locate(module)
        if file:
            node = _classes(file).get(class_name) if class_name else _class_of(file)
            if node:
                return _component(file, module, node)
    raise UserError(
        f"Nothing is found at {path}: it must be the dotted path of a class, or of a module whose "
        "class has the module's name, in a package that Python can import (see PYTHONPATH)."
    )


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
                f"{module}.{node.name}: the parameter {name} needs a default that is a plain "
                "value (number, string, bool, None or a tuple of these)."
            )
    return Component(f"{module}.{node.name}", docstring.partition("\n")[0], parameters)


@cache
def _files(group):
    """{name: file} of the classes that `<group>=` finds."""
    if group == "model":
        files = ROOT.glob("zoo/*/*.py")
        return {f.stem: f for f in files if _class_of(f) and _is_model(f, *_named(f))}
    return {f.stem: f for f in (ROOT / FOLDERS[group]).glob("*.py") if _class_of(f)}


def _class_of(file):
    wanted = file.stem.replace("_", "")
    return next((c for name, c in _classes(file).items() if name.lower() == wanted), None)


@cache
def _parse(file):
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def _classes(file):
    return {node.name: node for node in _parse(file).body if isinstance(node, ast.ClassDef)}


def is_model(path):
    """Whether the class at a dotted path derives from GenerativeModule, read from its source."""
    module, _, name = path.rpartition(".")
    file = _locate(module)
    node = _classes(file).get(name) if file else None
    return node is not None and _is_model(file, module, node)


def _is_model(file, module, node):
    if (module, node.name) == ("zoo.base", "GenerativeModule"):
        return True
    return any(_is_model(*base) for base in _bases(file, module, node))


def _named(file):
    """(module, class node) of a file of the house."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts), _class_of(file)


def _bases(file, module, node):
    """(file, module, class node) of each base class whose source is found."""
    for base in node.bases:
        name = ast.unparse(base).rpartition(".")[2]
        if name in _classes(file):
            yield file, module, _classes(file)[name]
        for source, original in _imports(file, module, name):
            source_file = _locate(source)
            if source_file and original in _classes(source_file):
                yield source_file, source, _classes(source_file)[original]


def _imports(file, module, name):
    """(module, name there) of each `from ... import` that brings a name into a file."""
    for statement in ast.walk(_parse(file)):
        if isinstance(statement, ast.ImportFrom):
            package = module.split(".")[: -statement.level] if statement.level else []
            source = ".".join([*package, *filter(None, [statement.module])])
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    yield source, alias.name


@cache
def _locate(module):
    """The source file of a dotted module name, found without importing its packages."""
    path = None
    for part in module.split("."):
        spec = PathFinder.find_spec(part, path)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    has_source = spec.origin and spec.origin.endswith(".py")
    return Path(spec.origin) if has_source else None


def _parameters(file, module, node):
    """The constructor's parameters; those of the base class too where it takes **keywords."""
    constructor = next((f for f in node.body if getattr(f, "name", "") == "__init__"), None)
    own, inherits = {}, constructor is None or constructor.args.kwarg is not None
    if constructor:
        own = signature(constructor)
    if inherits:
        for base in _bases(file, module, node):
            own |= {k: v for k, v in _parameters(*base).items() if k not in own}
    return own


def signature(function):
    """{name: Parameter} of a function's node, without self; MISSING for no or no plain default."""
    arguments = [*function.args.posonlyargs, *function.args.args]
    defaults = [None] * (len(arguments) - len(function.args.defaults)) + function.args.defaults
    arguments += function.args.kwonlyargs
    defaults += function.args.kw_defaults
    parameters = {}
    for argument, default in zip(arguments, defaults, strict=True):
        try:
            value = ast.literal_eval(default)
        except ValueError:
            value = MISSING
        parameters[argument.arg] = Parameter(value, argument.annotation)
    parameters.pop("self", None)
    return parameters


def convert(value, annotation, where):
    """The value as its annotation has it (int to float, list to tuple); UserError if it cannot be.

    Understands int, float, str, bool, None, tuple[...] and unions of them; other annotations, and
    none, let everything pass.
    """
    try:
        return _convert(value, annotation)
    except TypeError:
        raise UserError(
            f"{where}={value!r} is of the wrong type: it must be {ast.unparse(annotation)}."
        ) from None


def _convert(value, annotation):
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            try:
                return _convert(value, left)
            except TypeError:
                return _convert(value, right)
        case ast.Constant(value=None):
            kind = types.NoneType
        case ast.Name(id=name) if name in PLAIN:
            kind = PLAIN[name]
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=elements)):
            if not isinstance(value, list | tuple):
                raise TypeError
            if isinstance(elements[-1], ast.Constant):  # tuple[int, ...]
                elements = [elements[0]] * len(value)
            if len(elements) != len(value):
                raise TypeError
            return tuple(_convert(v, e) for v, e in zip(value, elements, strict=True))
        case _:
            return value
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise TypeError
    return value
