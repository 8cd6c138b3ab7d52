"""Mistakes of the user's, told in one message that names the way out."""

import difflib


class UserError(Exception):
    """A mistake of the user's: shown as one message, without a traceback."""


class Diverged(RuntimeError):
    """Training has produced a number that is not finite."""


def unknown(what, name, names):
    """A UserError for a name that is none of `names`: it tells the nearest, or else all."""
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    way_out = f"There are: {', '.join(names)}." if names else "There are none."
    if close:
        way_out = f"Did you mean {' or '.join(close)}?"
    return UserError(f"There is no {what}{name}. {way_out}")


def one_line(error):
    """The text of an error of several lines, as one."""
    return " ".join(str(error).split())
