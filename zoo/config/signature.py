"""Signatures as settings: what a constructor or a function takes, read from its source."""

import ast
import copy
import inspect
import re
import textwrap
import types
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zoo.config.errors import UserError
from zoo.config.ranges import Range, range_of

MISSING = "???"  # the default of a parameter that has none
PLAIN = {"int": int, "float": float, "str": str, "bool": bool}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a constructor or function.

    Args:
        default: Its default; MISSING for none, or for one that is not a plain value.
        annotation: Its type; None without one.
        range: The range of a number.
        text: Its sentence in the docstring.
    """

    default: object
    annotation: ast.expr | None
    range: Range | None = None
    text: str = ""

    def described(self, text: str) -> "Parameter":
        """Return the parameter with another sentence."""
        return replace(self, text=text)

    def help(self, name: str) -> list[str]:
        """Return the lines that `--help` prints: name, default and range, then the sentence."""
        interval = self.range.text if self.range else "(-inf, inf)"
        limits = "" if interval == "(-inf, inf)" else f"  in {interval}"
        default = "...  (required)" if self.default == MISSING else as_typed(self.default)
        lines = textwrap.wrap(self.text, 94, initial_indent=" " * 6, subsequent_indent=" " * 6)
        return [f"  {name}={default}{limits}", *lines]


def as_typed(value: object) -> str:
    """Return a value as the command line takes it: null, true, [1,2]."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(as_typed, value))}]"
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def signature(function: ast.FunctionDef, docstring: str | None = None) -> dict[str, Parameter]:
    """Read {name: Parameter} of a function from its source, without self.

    Args:
        function: The node of the function.
        docstring: Describes the parameters besides the function's own docstring.
    """
    texts = argument_texts(ast.get_docstring(function) or "")
    texts |= argument_texts(docstring or "")
    arguments = [*function.args.posonlyargs, *function.args.args]
    defaults: list[ast.expr | None] = [None] * (len(arguments) - len(function.args.defaults))
    defaults += function.args.defaults
    arguments += function.args.kwonlyargs
    defaults += function.args.kw_defaults
    parameters = {}
    for argument, default in zip(arguments, defaults, strict=True):
        parameters[argument.arg] = _parameter(argument.arg, argument.annotation, default, texts)
    parameters.pop("self", None)
    return parameters


def fields(dataclass: type, without: Iterable[str]) -> dict[str, Parameter]:
    """Read {name: Parameter} of a dataclass from its source, without some of its fields."""
    node: Any = ast.parse(inspect.getsource(dataclass)).body[0]
    texts = argument_texts(inspect.getdoc(dataclass) or "")
    lines: list[Any] = [line for line in node.body if isinstance(line, ast.AnnAssign)]
    return {
        line.target.id: _parameter(line.target.id, line.annotation, line.value, texts)
        for line in lines
        if line.target.id not in without
    }


def _parameter(
    name: str, annotation: ast.expr | None, default: Any, texts: dict[str, str]
) -> Parameter:
    """Return the Parameter of a name, an annotation, a default and sentences."""
    try:
        value = ast.literal_eval(default)
    except ValueError:
        value = MISSING
    found = range_of(name, annotation) if numeric(annotation, value) else None
    return Parameter(value, annotation, found, texts.get(name, ""))


def argument_texts(docstring: str) -> dict[str, str]:
    """Read {parameter: sentence} from the `Args:` section of a Google-style docstring."""
    _, _, section = docstring.partition("Args:\n")
    texts: dict[str, str] = {}
    name, indent = "", None
    for line in section.splitlines():
        depth = len(line) - len(line.lstrip())
        indent = depth if indent is None else indent
        if line.strip() and (depth == 0 or depth < indent):
            break
        head, colon, rest = line.strip().partition(":")
        if depth == indent and colon and head.isidentifier():
            name, texts[head] = head, rest.strip()
        elif name and line.strip():
            texts[name] += f" {line.strip()}"
    return texts


def without_sections(docstring: str) -> str:
    """Return a Google-style docstring up to its first section (Args, Returns or Raises)."""
    return re.split(r"^(?:Args|Returns|Raises):$", docstring, maxsplit=1, flags=re.M)[0].strip()


def numeric(annotation: ast.expr | None, default: object) -> bool:
    """Return whether a parameter takes numbers, by its annotation or else its default."""
    if annotation is None:
        return isinstance(default, int | float) and not isinstance(default, bool)
    names = (node.id for node in ast.walk(annotation) if isinstance(node, ast.Name))
    return not {"int", "float"}.isdisjoint(names)


def convert(value: Any, parameter: Parameter, where: str) -> Any:
    """Convert a value to the type of a parameter (int to float, list to tuple), in its range.

    Args:
        value: The value.
        parameter: The parameter.
        where: Its name in messages.

    Raises:
        UserError: The value is of another type, or outside the range.
    """
    value = typed(value, parameter.annotation, where)
    if parameter.range:
        try:
            parameter.range.check(value, where)
        except ValueError as error:
            raise UserError(str(error)) from error
    return value


def typed(value: Any, annotation: ast.expr | None, where: str) -> Any:
    """Convert a value to the type of an annotation.

    Supports int, float, str, bool, None, tuple[...] and their unions. With any other annotation,
    every value passes.

    Args:
        value: The value.
        annotation: The annotation; None without one.
        where: The name of the parameter in messages.

    Raises:
        UserError: The value is of another type.
    """
    if annotation is None:
        return value
    try:
        return _convert(value, annotation)
    except TypeError:
        wanted = ast.unparse(WithoutRanges().visit(copy.deepcopy(annotation)))
        hint = f" {_tuple_hint(value, annotation, where)}".rstrip()
        raise UserError(
            f"{where}={value!r} is of the wrong type: it must be {wanted}.{hint}"
        ) from None


def _tuple_hint(value: Any, annotation: ast.expr, where: str) -> str:
    """Return how to write a value for a parameter that takes a tuple; "" for other parameters."""
    for node in ast.walk(annotation):
        match node:
            case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=elements)):
                if not isinstance(elements[-1], ast.Constant):
                    kinds = {ast.unparse(element) for element in elements}
                    kind = "numbers" if kinds <= {"int", "float"} else "values"
                    example = ",".join(str(number) for number in range(1, len(elements) + 1))
                    return f"Write {len(elements)} {kind}, such as {where}=[{example}]."
                if type(value).__name__ == ast.unparse(elements[0]):
                    return f"Write {where}=[{value}]."
    return ""


class WithoutRanges(ast.NodeTransformer):
    """Replaces Annotated[type, ...] by the type."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """Replace one annotation."""
        if isinstance(node.value, ast.Name) and node.value.id == "Annotated":
            return self.visit(node.slice.elts[0])  # type: ignore[attr-defined]
        return self.generic_visit(node)


def _convert(value: Any, annotation: ast.expr | None) -> Any:
    """Convert a value; TypeError if it is of another type."""
    match annotation:
        case ast.Constant(value=str(text)):
            return _convert(value, ast.parse(text, mode="eval").body)
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[inner, *_])):
            return _convert(value, inner)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _convert_union(value, [left, right])
        case ast.Subscript(value=ast.Name(id="Optional"), slice=option):
            return _convert_union(value, [option, ast.Constant(None)])
        case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple(elts=options)):
            return _convert_union(value, options)
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


def _convert_union(value: Any, options: Sequence[ast.expr]) -> Any:
    """Convert a value to the first type that fits; TypeError if none does."""
    for option in options:
        try:
            return _convert(value, option)
        except TypeError:
            continue
    raise TypeError
