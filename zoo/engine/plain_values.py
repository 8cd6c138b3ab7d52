"""Settings as plain values, which a checkpoint can hold and anyone can load."""

import enum
import os
from collections.abc import Mapping, Sequence

import numpy as np

PLAIN = (bool, int, float, str)
KINDS = "numbers, strings, booleans, None, and lists, tuples and dicts of these"


def plain(value: object) -> object:
    """Return a value as plain ones: NumPy scalars as numbers, paths as strings.

    Raises:
        TypeError: the value, or one within it, is an object of another kind.
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


def make_plain_(settings: dict) -> None:
    """Make the values of settings plain, in place; those that cannot be stay as they are."""
    for name, value in settings.items():
        try:
            settings[name] = plain(value)
        except TypeError:  # refused when training begins: without training it does no harm
            continue


def refuse_objects(settings: Mapping, where: str) -> None:
    """Refuse settings that a checkpoint could not be loaded with again.

    Args:
        settings: {name: value}.
        where: model or data, which the message writes before the name.

    Raises:
        ValueError: a value is not plain.
    """
    for name, value in settings.items():
        try:
            plain(value)
        except TypeError as error:
            raise ValueError(
                f"{where}.{name}: {error}, which a checkpoint cannot hold. Constructors take "
                f"{KINDS}; leave others out of save_hyperparameters."
            ) from error
