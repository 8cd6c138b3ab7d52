"""Values are checked against annotations."""

import ast

import pytest

from zoo.config.errors import UserError
from zoo.config.signature import MISSING, argument_texts, signature, typed, without_sections


def test_a_signature_is_read_with_its_defaults():
    node = ast.parse("def f(self, a, b=-1, *, c: int = (1, 2), d=print()): ...").body[0]
    parameters = signature(node)
    values = {name: parameter.default for name, parameter in parameters.items()}
    assert values == {"a": MISSING, "b": -1, "c": (1, 2), "d": MISSING}
    assert ast.unparse(parameters["c"].annotation) == "int"


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1, "int", 1),
        (1, "float", 1.0),
        (0.5, "float", 0.5),
        ("a", "str", "a"),
        (True, "bool", True),
        (None, "int | None", None),
        (3, "int | None", 3),
        ([0, 0.9], "tuple[float, float]", (0.0, 0.9)),
        ([1, 2, 3], "tuple[int, ...]", (1, 2, 3)),
        ([], "tuple[str, ...]", ()),
        ({"a": 1}, "dict", {"a": 1}),
        (1, "Optional[float]", 1.0),
        (None, "Optional[float]", None),
        ("a", "Union[int, str]", "a"),
        (3, "'int | None'", 3),
    ],
)
def test_convert(value, annotation, expected):
    converted = typed(value, ast.parse(annotation, mode="eval").body, "x")
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (1.5, "int"),
        ("1", "int"),
        (True, "int"),
        (1, "bool"),
        (1, "str"),
        (None, "float"),
        ("a", "int | None"),
        ([0.1], "tuple[float, float]"),
        (0.1, "tuple[float, float]"),
        (["a"], "tuple[int, ...]"),
        ("fast", "Optional[float]"),
        ("a", "Union[int, float]"),
        ("a", "'int | None'"),
    ],
)
def test_wrong_types_are_refused(value, annotation):
    with pytest.raises(UserError, match=r"x=.* must be"):
        typed(value, ast.parse(annotation, mode="eval").body, "x")


DOCUMENTED = """One line.

Notes.

Args:
    width: Channels of the first layer, which
        goes on here:
        note: not a parameter.
    lr: Learning rate.

Raises:
    ValueError: lr: is no parameter here.
"""


def test_the_sentences_of_parameters_are_read_from_the_docstring():
    texts = argument_texts(DOCUMENTED)
    assert texts == {
        "width": "Channels of the first layer, which goes on here: note: not a parameter.",
        "lr": "Learning rate.",
    }
    assert without_sections(DOCUMENTED) == "One line.\n\nNotes."


def test_help_shows_values_as_they_are_typed():
    function = ast.parse("def f(x: int | None = None, y: tuple = (1, True), *, z: str): ...").body[
        0
    ]
    texts = "Args:\n    x: A number."
    lines = [line for name, p in signature(function, texts).items() for line in p.help(name)]
    assert lines == ["  x=null", "      A number.", "  y=[1,true]", "  z=...  (required)"]
