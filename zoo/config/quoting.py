"""Values as the user types them, quoted for Hydra's grammar.

In that grammar `=`, `,`, brackets and quotes have a meaning, and letters outside ASCII are errors.
Here, a parameter that takes text takes any text without quotes: `data.root=josé/photos`.
"""

import ast
import re
from collections.abc import Iterable, Sequence
from typing import Any

from zoo.config import catalog
from zoo.config.errors import UserError
from zoo.config.local_settings import PATHS
from zoo.config.signature import Parameter
from zoo.config.stored_arguments import GROUPS

KEY = re.compile(r"(\+\+|\+|~)?([A-Za-z][\w.]*[\w/@:.-]*)")
TEXT = ast.parse("str | None", mode="eval").body
# Settings of a run that take text. Commas in paths do not separate the values of several runs.
RUN = {name: Parameter(None, TEXT) for name in ("folder", "resume", "init")}
CHOICES = ("model", "data", "logger", "extractor", "experiment")


def quoted(settings: Sequence[str], multirun: bool) -> list[str]:
    """Quote KEY=VALUE settings so that Hydra reads their values as they were typed.

    Quoting twice changes nothing.

    Args:
        settings: Arguments of the command line without its flags.
        multirun: Whether commas separate the values of several runs.

    Raises:
        UserError: A key is malformed, or a choice is empty or a list.
    """
    values = parsed(settings)
    return [_quoted(setting, values, multirun) for setting in settings]


def _quoted(setting: str, values: dict[str, str], multirun: bool) -> str:
    """Quote one setting."""
    key, sign, value = setting.partition("=")
    match = KEY.fullmatch(key)
    if not match:
        raise UserError(f"{setting} is not of the form KEY=VALUE; see --help.")
    name = match[2]
    if sign and name in CHOICES:
        check_choice(name, value)
    if not sign or value in ("", "null") or is_quoted(value):
        return setting
    if name == "callbacks" and value.startswith("["):
        names = [n.strip() for n in value.strip("[]").split(",") if n.strip()]
        names = [n if is_quoted(n) or hydra_value(n) == n else in_quotes(n) for n in names]
        return f"{key}=[{','.join(names)}]"
    several = multirun and "," in value and name.rpartition(".")[2] not in PATHS
    literal = name in CHOICES or takes_text(name, values)
    read = hydra_value(value)
    if read is None or (literal and not several and read != value):
        return f"{key}={in_quotes(value)}"
    return setting


def check_choice(name: str, value: str) -> None:
    """Check that a setting such as `model` chooses one name.

    Raises:
        UserError: It chooses none, or is a list.
    """
    if value.startswith(("[", "{")):
        first = value.strip("[]{} ").split(",")[0] or "NAME"
        beside = " The CSV log is written in any case." if name == "logger" else ""
        raise UserError(
            f"{name}={value} is a list: choose one name, such as {name}={first}.{beside}"
        )
    if value in ("", "null"):
        raise UserError(f"{name}={value} is empty: write {name}=NAME; --help lists names.")


def takes_text(key: str, values: dict[str, str]) -> bool:
    """Return whether a setting takes text only.

    Args:
        key: Such as data.root.
        values: {key: value} of all settings, which choose the components.
    """
    return is_text(RUN.get(key) or _parameter(key, values))


def is_text(parameter: Parameter | None) -> bool:
    """Return whether a parameter takes text only."""
    if parameter is None or parameter.annotation is None:
        return False
    nodes = list(ast.walk(parameter.annotation))
    kinds = {node.id for node in nodes if isinstance(node, ast.Name)}
    return "str" in kinds <= {"str", "Optional", "Union", "None"}


def _parameter(key: str, values: dict[str, str]) -> Parameter | None:
    """Return the parameter of a component that a key such as `data.root` sets; None for others."""
    group, _, name = key.partition(".")
    if group == "callbacks":
        chosen, _, name = name.partition(".")
    else:
        default = "digits" if group == "data" else ""
        chosen = values.get(group, default).split(",")[0]
    if group not in GROUPS[:-1] or not chosen:
        return None
    try:
        return catalog.describe(group, chosen).parameters.get(name)
    except UserError:  # a later check raises it, with the way out
        return None


def hydra_value(value: str) -> Any:
    """Return what Hydra reads for a value; None if it cannot be parsed."""
    from hydra.errors import HydraException

    try:
        override = _override(f"x={value}")
    except HydraException:
        return None
    return override.value()


def _override(setting: str) -> Any:
    """Parse a setting by Hydra's grammar."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_override(setting)


def in_quotes(value: str) -> str:
    """Return a value as a quoted string of Hydra's grammar."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(value, Quote.single).with_quotes()


def is_quoted(value: str) -> bool:
    """Return whether a value is in quotes."""
    return len(value) > 1 and value[0] == value[-1] and value[0] in "'\""


def unquoted(value: str) -> Any:
    """Return a value without the quotes that Hydra would remove."""
    return _override(f"x={value}").value() if is_quoted(value) else value


def parsed(settings: Iterable[str]) -> dict[str, Any]:
    """Return {key: value} of KEY=VALUE settings, without quotes."""
    pairs = (setting.split("=", 1) for setting in settings if "=" in setting)
    return {key.lstrip("+"): unquoted(value) for key, value in pairs}
