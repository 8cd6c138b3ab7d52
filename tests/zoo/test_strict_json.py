"""JSON without NaN and infinity."""

import json
import math

import pytest

from zoo import strict_json

VALUE = {"metrics": [1.5, math.nan, {"last": -math.inf, 3: (math.inf, None, "nan", True)}]}


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


@pytest.mark.parametrize("exact", [False, True])
def test_standard_parsers_read_what_is_written(exact):
    text = strict_json.dumps(VALUE, exact)
    number, nan, more = json.loads(text, parse_constant=refuse)["metrics"]
    assert number == 1.5
    assert nan == ({"float": "nan"} if exact else None)
    assert more["3"][1:] == [None, "nan", True]
    assert math.isnan(strict_json.number(None))
    assert strict_json.number(2.0) == 2.0


def test_exact_numbers_are_read_back():
    text = strict_json.dumps(VALUE, exact=True)
    number, nan, more = strict_json.loads(text)["metrics"]
    assert (number, more) == (1.5, {"last": -math.inf, "3": [math.inf, None, "nan", True]})
    assert math.isnan(nan)
    assert strict_json.loads('{"float": "text"}') == {"float": "text"}
