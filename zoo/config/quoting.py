"""Values of the command line as they are typed, written for Hydra's grammar.

In that grammar `=`, `,`, brackets, quotes and letters outside ASCII mean something else or nothing.
Here a parameter that takes text takes it as it stands: `data.root=josé/photos`.
"""

import ast
import re

from zoo.config import catalog
from zoo.config.errors import UserError
from zoo.config.signature import Parameter
from zoo.config.stored_arguments import GROUPS

KEY = re.compile(r"(\+\+|\+|~)?([A-Za-z][\w.]*[\w/@:.-]*)")
TEXT = ast.parse("str | None", mode="eval").body
# Settings of a run, and parameters of components, that are paths: commas separate no values there.
RUN = {"folder": Parameter(None, TEXT), "resume": Parameter(None, TEXT)}
PATHS = ("folder", "resume", "root", "weights")
CHOICES = ("model", "data", "logger", "extractor", "experiment")


def quoted(settings, multirun):
    """KEY=VALUE settings whose values Hydra reads as they were typed.

    Quoting twice changes nothing.

    Args:
        settings: arguments of the command line without its flags.
        multirun: whether commas separate the values of several runs.

    Raises:
        UserError: A key is none.
    """
    given = parsed(settings)
    return [_quoted(setting, given, multirun) for setting in settings]


def _quoted(setting, given, multirun):
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
        plain = [n if is_quoted(n) or reading(n) == n else in_quotes(n) for n in names]
        return f"{key}=[{','.join(plain)}]"
    several = multirun and "," in value and name.rpartition(".")[2] not in PATHS
    literal = name in CHOICES or takes_text(name, given)
    read = reading(value)
    if read is None or (literal and not several and read != value):
        return f"{key}={in_quotes(value)}"
    return setting


def check_choice(name, value):
    """UserError for a value that chooses nothing, or several, where one is to be chosen."""
    if value.startswith(("[", "{")):
        first = value.strip("[]{} ").split(",")[0] or "NAME"
        beside = " The CSV log is written in any case." if name == "logger" else ""
        raise UserError(f"{name}={value} is a list: choose one, such as {name}={first}.{beside}")
    if value in ("", "null"):
        raise UserError(f"{name}={value} chooses nothing: write {name}=NAME; --help lists names.")


def takes_text(key, given):
    """Whether a setting takes text and nothing else; given: {key: value} of all settings."""
    return is_text(RUN.get(key) or _parameter(key, given))


def is_text(parameter):
    """Whether a parameter, which may be None, is of text and nothing else."""
    if parameter is None or parameter.annotation is None:
        return False
    nodes = list(ast.walk(parameter.annotation))
    kinds = {node.id for node in nodes if isinstance(node, ast.Name)}
    return "str" in kinds <= {"str", "Optional", "Union", "None"}


def _parameter(key, given):
    """The parameter of a component that a key such as `data.root` sets; None if it is not known."""
    group, _, name = key.partition(".")
    if group == "callbacks":
        chosen, _, name = name.partition(".")
    else:
        default = "digits" if group == "data" else ""
        chosen = given.get(group, default).split(",")[0]
    if group not in GROUPS[:-1] or not chosen:
        return None
    try:
        return catalog.describe(group, chosen).parameters.get(name)
    except UserError:  # told later, with the way out
        return None


def reading(value):
    """What Hydra's grammar makes of a value; None if it cannot be read."""
    from hydra.errors import HydraException

    try:
        override = _override(f"x={value}")
    except HydraException:
        return None
    return override.value()


def _override(setting):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_override(setting)


def in_quotes(value):
    """A value as a string of Hydra's grammar."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(value, Quote.single).with_quotes()


def is_quoted(value):
    """Whether a value is in quotes already."""
    return len(value) > 1 and value[0] == value[-1] and value[0] in "'\""


def unquoted(value):
    """A value without the quotes that Hydra would take off."""
    return _override(f"x={value}").value() if is_quoted(value) else value


def parsed(settings):
    """{key: value} of KEY=VALUE settings, without quotes."""
    pairs = (setting.split("=", 1) for setting in settings if "=" in setting)
    return {key.lstrip("+"): unquoted(value) for key, value in pairs}
