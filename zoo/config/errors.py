"""Errors that the user can act upon: one message with the cause and the way out."""

import difflib
from collections.abc import Iterable

NEEDS_LABELS = "needs data with labels: `classes`, the number of classes, is 0."


class UserError(Exception):
    """A mistake of the user's. Commands print its message without a traceback."""


class Diverged(RuntimeError):
    """A loss or a weight is not finite."""


def unknown(what: str, name: str, names: Iterable[str]) -> UserError:
    """Return a UserError for an unknown name, which suggests the nearest names, or else all.

    Args:
        what: What the message puts before the name, such as "model=".
        name: The unknown name.
        names: The names that exist.
    """
    names = list(names)
    way_out = f"There are: {', '.join(names)}." if names else "There are none."
    return UserError(f"There is no {what}{name}. {did_you_mean(name, names) or way_out}")


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the question whether one of the nearest names is meant; "" if none is near.

    Args:
        name: The unknown name.
        names: The names that exist.
    """
    names = list(names)
    if name.lower() in names:
        close = [name.lower()]
    else:
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(close)}?" if close else ""


def one_line(error: object) -> str:
    """Return the message of an error on one line."""
    return " ".join(str(error).split())
