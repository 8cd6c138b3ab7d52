"""JSON that every parser reads: the standard has neither NaN nor infinity."""

import json
import math
from collections.abc import Mapping
from typing import Any


def dumps(value: Any, exact: bool = False) -> str:
    """Return a value as indented JSON.

    Args:
        value: Dicts, lists and tuples of what JSON can hold.
        exact: Write numbers that are not finite as {"float": "inf"}, which `loads` reads back.
            Otherwise they become null.
    """
    return json.dumps(_standard(value, exact), indent=2, allow_nan=False)


def loads(text: str) -> Any:
    """Return the value of JSON, with the numbers of `dumps(..., exact=True)`.

    Raises:
        ValueError: It is not JSON.
    """
    return json.loads(text, object_hook=_number)


def number(value: float | None) -> float:
    """Return a number that `dumps` has written; NaN for null."""
    return math.nan if value is None else value


def _standard(value: Any, exact: bool) -> Any:
    if isinstance(value, Mapping):
        return {key: _standard(inner, exact) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_standard(inner, exact) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(float(value))} if exact else None
    return value


def _number(content: dict[str, Any]) -> Any:
    if content.keys() == {"float"} and content["float"] in ("nan", "inf", "-inf"):
        return float(content["float"])
    return content
