"""Types and ranges of hyperparameters that are passed in Python, checked as on the command line."""

import inspect
from functools import cache
from typing import Any

from zoo.config.errors import UserError
from zoo.config.ranges import as_node, ranges_of
from zoo.config.signature import typed


def check_hyperparameters(module: Any, where: str) -> None:
    """Check the hyperparameters of a module by the signatures of its constructors.

    Args:
        module: A model or a data module.
        where: model or data, the prefix of the names in the message.

    Raises:
        TypeError: One is of another type than its annotation.
        ValueError: One is outside its range.
    """
    annotations, ranges = declarations(module.__class__)
    for name, value in module.hparams.items():
        if annotations.get(name, inspect.Parameter.empty) is not inspect.Parameter.empty:
            try:
                typed(value, as_node(annotations[name]), f"{where}.{name}")
            except UserError as error:
                raise TypeError(str(error)) from None
        if name in ranges:
            ranges[name].check(value, f"{where}.{name}")


@cache
def declarations(cls: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return {parameter: annotation} and {parameter: range} of a class's constructors."""
    annotations: dict[str, Any] = {}
    ranges: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if constructor := vars(base).get("__init__"):
            ranges |= ranges_of(constructor)
            parameters = inspect.signature(constructor).parameters.values()
            annotations |= {p.name: p.annotation for p in parameters}
    return annotations, ranges
