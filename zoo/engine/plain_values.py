"""Hyperparameters as plain values, which checkpoints can store and load without pickle."""

import enum
import os
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

PLAIN = (bool, int, float, str)
KINDS = "numbers, strings, booleans, None, and lists, tuples and dicts of these"


def plain(value: object) -> object:
    """Convert a value to plain values: NumPy scalars to numbers, paths to strings.

    Raises:
        TypeError: The value, or one within it, is an object of another type.
    """
    if value is None or type(value) in PLAIN:
        return value
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, os.PathLike):
        return plain(os.fspath(value))
    if isinstance(value, Mapping):
        return {plain(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return (tuple if isinstance(value, tuple) else list)(map(plain, value))
    if isinstance(value, int | float | str) and not isinstance(value, enum.Enum):
        return next(kind for kind in PLAIN if isinstance(value, kind))(value)
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def make_plain_(settings: MutableMapping[str, Any]) -> None:
    """Convert the values of settings to plain values, in place, where that is possible."""
    for name, value in settings.items():
        try:
            settings[name] = plain(value)
        except TypeError:  # `refuse_objects` refuses it when training begins
            continue


def refuse_objects(settings: Mapping[str, object], where: str) -> None:
    """Refuse settings with which a checkpoint could be saved but not loaded.

    Args:
        settings: {name: value}.
        where: model or data, the prefix of the name in the message.

    Raises:
        ValueError: A value is not plain.
    """
    for name, value in settings.items():
        try:
            plain(value)
        except TypeError as error:
            raise ValueError(
                f"{where}.{name}: {error}, which a checkpoint cannot hold. Constructors take "
                f"{KINDS}; leave others out of save_hyperparameters."
            ) from error
