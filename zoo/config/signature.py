"""Signatures as settings: what a constructor or a function takes, read from its source."""

import ast
import copy
import types
from dataclasses import dataclass

from zoo.config.errors import UserError
from zoo.config.ranges import Range, range_of

MISSING = "???"  # the default of a parameter that has none
PLAIN = {"int": int, "float": float, "str": str, "bool": bool}


@dataclass(frozen=True)
class Parameter:
    default: object
    annotation: ast.expr | None
    range: Range | None = None

    @property
    def shown(self):
        """The default as `--help` shows it, with the range."""
        return f"{self.default}  in {self.range.text}" if self.range else f"{self.default}"


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
        takes_numbers = numeric(argument.annotation, value)
        found = range_of(argument.arg, argument.annotation) if takes_numbers else None
        parameters[argument.arg] = Parameter(value, argument.annotation, found)
    parameters.pop("self", None)
    return parameters


def numeric(annotation, default):
    """Whether a parameter takes numbers, by its annotation or else its default."""
    if annotation is None:
        return isinstance(default, int | float) and not isinstance(default, bool)
    names = (node.id for node in ast.walk(annotation) if isinstance(node, ast.Name))
    return not {"int", "float"}.isdisjoint(names)


def convert(value, parameter, where):
    """The value as a parameter has it (int to float, list to tuple), checked for its range.

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


def typed(value, annotation, where):
    """The value as its annotation has it; UserError if it cannot be.

    Understands int, float, str, bool, None, tuple[...] and unions of them; other annotations let
    everything pass.
    """
    try:
        return _convert(value, annotation)
    except TypeError:
        wanted = ast.unparse(WithoutRanges().visit(copy.deepcopy(annotation)))
        several = "tuple" in wanted and not isinstance(value, list | tuple)
        hint = f" Write {where}=[{value}]." if several else ""
        raise UserError(
            f"{where}={value!r} is of the wrong type: it must be {wanted}.{hint}"
        ) from None


class WithoutRanges(ast.NodeTransformer):
    """Annotated[type, ...] as the type alone."""

    def visit_Subscript(self, node):
        if isinstance(node.value, ast.Name) and node.value.id == "Annotated":
            return self.visit(node.slice.elts[0])
        return self.generic_visit(node)


def _convert(value, annotation):
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


def _convert_union(value, options):
    for option in options:
        try:
            return _convert(value, option)
        except TypeError:
            continue
    raise TypeError
