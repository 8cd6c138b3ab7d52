"""The range of each numeric parameter, declared in one place.

A range is an interval such as `[0, 1)`. The annotation of a parameter declares it,

    def __init__(self, slope: Annotated[float, "[0, 1]"] = 0.2): ...

or else its name does: COMMON has the names that mean the same everywhere. The whole name is looked
up first, then its last word, so that `critic_lr` has the range of `lr`.

The command line checks ranges before heavy imports. Models and data are checked when they are
constructed, callbacks and commands, by the decorator `in_range`, when they are called.
"""

import ast
import functools
import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, cast, get_origin

F = TypeVar("F", bound=Callable)

COMMON = {
    # Optimization
    "lr": "[0, inf)",
    "beta1": "[0, 1)",
    "beta2": "[0, 1)",
    "momentum": "[0, 1)",
    "weight": "[0, inf)",
    "dropout": "[0, 1)",
    "smoothing": "[0, 1)",
    "gradient_clip": "[0, inf)",
    "clip": "(0, inf)",
    "accumulate": "[1, 1000000]",
    "steps": "[1, inf)",
    "iterations": "[1, inf)",
    "batches": "[1, inf)",
    "every": "[1, inf)",
    "warmup": "[0, inf)",
    "seed": "[0, 4294967295]",
    # Networks: the upper ends are far beyond use, and catch typing errors
    "width": "[1, 65536]",
    "dim": "[1, 65536]",
    "layers": "[1, 1000]",
    "blocks": "[1, 1000]",
    "couplings": "[1, 1000]",
    "scales": "[1, 16]",
    "kernel": "[3, 999]",
    "mixtures": "[1, 1000]",
    "num_levels": "[2, 256]",  # gray levels
    "samples": "[1, 1000000]",
    # Data
    "batch_size": "[1, 1000000]",
    "image_size": "[1, 16384]",
    "size": "[1, 16384]",
    "channels": "[1, 1024]",
    "classes": "[0, 1000000]",
    "count": "[1, 100000000]",
    "val_count": "[0, 100000000]",
    "fraction": "[0, 1)",
    "labels": "[0, 100000000]",
    "frames": "[1, 10000]",
    "length": "[1, 100000000]",
    "rate": "[1, 1000000]",
    "hop": "[1, 1000000]",
    "features": "[1, 65536]",
    "objects": "[0, 100]",
    "speed": "[1, 1000]",
    "shrink": "[1, 64]",
    "stride": "[1, 16384]",
    "past": "[1, 1000]",
    # Sampling
    "truncation": "[0, 1]",
    # Processes
    "workers": "[0, 1024]",
    "threads": "[1, 1024]",
    "devices": "[-1, 1024]",
    # Lightning's Trainer
    "max_steps": "[-1, inf)",
    "min_steps": "[0, inf)",
    "max_epochs": "[-1, inf)",
    "min_epochs": "[0, inf)",
    "log_every_n_steps": "[0, inf)",
    "num_sanity_val_steps": "[-1, inf)",
    "check_val_every_n_epoch": "[1, inf)",
    "val_check_interval": "(0, inf)",
    "reload_dataloaders_every_n_epochs": "[0, inf)",
    "limit_train_batches": "[0, inf)",
    "limit_val_batches": "[0, inf)",
    "limit_test_batches": "[0, inf)",
    "limit_predict_batches": "[0, inf)",
    "overfit_batches": "[0, inf)",
    "num_nodes": "[1, 1000000]",
}
INTERVAL = re.compile(r"([\[(])\s*(\S+)\s*,\s*(\S+?)\s*([\])])")


@dataclass(frozen=True)
class Range:
    """An interval of numbers.

    Args:
        text: The interval, such as `[0, 1)`, whose ends may be `inf` and `-inf`.
    """

    text: str

    @functools.cached_property
    def ends(self) -> tuple[str, float, float, str]:
        """(opening bracket, lower end, upper end, closing bracket)."""
        match = INTERVAL.fullmatch(self.text)
        if not match:
            raise ValueError(f"{self.text!r} is not an interval such as '[0, 1)'.")
        return match[1], float(match[2]), float(match[3]), match[4]

    def check(self, value: object, where: str) -> None:
        """Check that a number, or each number in a list or tuple, is in the interval.

        Args:
            value: The value; anything but numbers passes.
            where: Its name in the message.

        Raises:
            ValueError: A number is outside the interval, infinite or NaN.
        """
        if isinstance(value, list | tuple):
            for element in value:
                self.check(element, where)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        opening, low, high, closing = self.ends
        low_text, high_text = (text.strip() for text in self.text[1:-1].split(","))
        wrong = None
        if not (value >= low if opening == "[" else value > low):  # also for NaN
            wrong = f"at least {low_text}" if opening == "[" else f"greater than {low_text}"
        elif not (value <= high if closing == "]" else value < high):
            wrong = f"at most {high_text}" if closing == "]" else f"less than {high_text}"
        if abs(value) == float("inf"):
            wrong = "finite"
        if wrong:
            raise ValueError(f"{where}={value} must be {wrong}: its range is {self.text}.")


def range_of(name: str, annotation: ast.AST | None) -> Range | None:
    """Return the range of a parameter by its annotation or else its name; None without one."""
    nodes: Iterable[ast.AST] = ast.walk(annotation) if annotation is not None else ()
    for node in nodes:
        match node:
            case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[_, *more])):
                texts = [m.value for m in more if isinstance(m, ast.Constant)]
                declared = [t for t in texts if isinstance(t, str) and t[:1] in ("[", "(")]
                if declared:
                    return Range(declared[0])
    text = COMMON.get(name) or COMMON.get(name.rpartition("_")[2])
    return Range(text) if text else None


@functools.cache
def ranges_of(function: Callable) -> dict[str, Range]:
    """Return {name: Range} of the parameters of a function or method."""
    parameters = inspect.signature(function).parameters.items()
    found = {name: range_of(name, as_node(parameter.annotation)) for name, parameter in parameters}
    return {name: range_ for name, range_ in found.items() if range_}


def as_node(annotation: object) -> ast.expr | None:
    """Return the syntax tree of an annotation; None for one whose text is not Python."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return ast.Name(annotation.__name__)
    text = annotation if isinstance(annotation, str) else repr(annotation).replace("typing.", "")
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None


def in_range(function: F) -> F:
    """Decorate a function or a constructor: it raises ValueError for arguments out of range."""
    where = f"{function.__module__}." if function.__module__.startswith("callbacks.") else ""

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        for name, value in inspect.signature(function).bind(*args, **kwargs).arguments.items():
            if name in ranges_of(function):
                ranges_of(function)[name].check(value, f"{where}{name}")
        return function(*args, **kwargs)

    return cast(F, checked)
