"""Parameters of a base class whose values a model fixes."""

from typing import Any


def with_fixed(model: object, passed: dict[str, Any], fixed: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments for a base class's constructor, including those that a model fixes.

    A constructor calls `super().__init__(**with_fixed(self, base, {"name": value}))`. The fixed
    parameters are no parameters of the command line: zoo/config/class_sources.py reads their names
    in this call. A checkpoint's arguments contain them with their fixed values.

    Args:
        model: The model, for the message.
        passed: The **kwargs of the model's constructor.
        fixed: {name: value}.

    Raises:
        ValueError: Another value is passed than the fixed one.
    """
    for name, value in fixed.items():
        if name in passed and passed[name] != value:
            raise ValueError(
                f"{type(model).__name__} always has {name}={value!r}: leave out "
                f"{name}={passed[name]!r}."
            )
    return passed | fixed
