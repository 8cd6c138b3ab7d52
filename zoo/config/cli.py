"""Commands: a function whose signature is the settings, and errors as one message."""

import ast
import errno
import inspect
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo import strict_json
from zoo.atomic_files import write_text
from zoo.config import catalog
from zoo.config.errors import UserError, one_line
from zoo.config.quoting import is_text, parsed, takes_text
from zoo.config.signature import MISSING, Parameter, signature, without_sections

OUTPUTS = ("out", "statistics")  # the settings that name files to write


@contextmanager
def messages() -> Iterator[None]:
    """Turn a UserError into one message and exit status 1; ZOO_TRACEBACK=1 shows the traceback.

    A closed output pipe (`| head`) ends the command without a message, Ctrl-C with one word.
    Packages that hide the zoo's own are an error of every command. Warnings are shown without the
    line of code that they come from.
    """
    formatted = warnings.formatwarning
    warnings.formatwarning = plain_warning
    try:
        catalog.check_packages()
        yield
        print(end="", flush=True)
    except UserError as error:
        if "ZOO_TRACEBACK" in os.environ:
            raise
        sys.exit(f"Error: {error}")
    except BrokenPipeError:
        if not reader_left():
            raise
        sys.exit(1)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    finally:
        warnings.formatwarning = formatted


def plain_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str = "",
    lineno: int = 0,
    line: str | None = None,
) -> str:
    """Return a warning as one line for the user."""
    return f"{'' if category is UserWarning else category.__name__ + ': '}{one_line(message)}\n"


def reader_left() -> bool:
    """Return whether the reader of stdout is gone, and discard what is left to print.

    A pipe to something else, such as a data worker, may break as well.
    """
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def main(function: Callable, rest: str | None = None) -> None:
    """Call a function with the key=value arguments of the command line.

    Args:
        function: The command. Its signature defines the settings, its docstring the help.
        rest: The parameter that takes all arguments without a key: files, or words without "=".
    """
    arguments = sys.argv[1:]
    node: Any = ast.parse(inspect.getsource(function)).body[0]
    parameters = signature(node)
    with messages():
        if {"-h", "--help"} & set(arguments):
            print(help_text(function, parameters, rest))
            return
        others = {}
        if rest:
            del parameters[rest]
            others[rest] = tuple(a for a in arguments if "=" not in a or Path(a).exists())
            arguments = [a for a in arguments if a not in others[rest]]
        values = others | parse(arguments, parameters, Path(sys.argv[0]).stem)
        check_outputs(values)
        try:
            function(**values)
        except BrokenPipeError:
            raise
        except (ValueError, OSError, ImportError) as error:
            raise UserError(str(error)) from error


def parse(arguments: list[str], parameters: dict[str, Parameter], command: str) -> dict[str, Any]:
    """Parse key=value arguments and check their names, types and ranges.

    Hydra's `+` and `++` before a key are ignored, as in zoo.fit.

    A parameter with the name of a group (data, extractor) takes GROUP=NAME and GROUP.KEY=VALUE, as
    in zoo.fit, and becomes a dict with the class as `_target_`.

    Args:
        arguments: The command line.
        parameters: {name: Parameter} of the command.
        command: Its name, for messages.

    Raises:
        UserError: An argument is malformed, unknown, missing or out of range.
    """
    from zoo.config.composition import checked, converted

    for argument in arguments:
        if "=" not in argument:
            raise UserError(f"{argument} is not of the form KEY=VALUE; see --help.")
    arguments = [argument.lstrip("+") for argument in arguments]
    values = converted(read_values(arguments, parameters), parameters, "")
    for group in catalog.FOLDERS.keys() & parameters.keys():
        if "_target_" in values.get(group, {}):  # else it is merged with what a checkpoint says
            values[group] = checked(values[group], group).as_dict()
    for name, parameter in parameters.items():
        if parameter.default == MISSING and name not in values:
            raise UserError(f"{command} needs {name}=...; see --help.")
    return values


def read_values(arguments: list[str], parameters: dict[str, Parameter]) -> dict[str, Any]:
    """Read {key: value} of KEY=VALUE arguments, with a dict for each group.

    Raises:
        UserError: A value is malformed.
    """
    groups = [name for name in parameters if name in catalog.FOLDERS]
    typed = parsed(arguments)
    values: dict[str, Any] = {}
    for argument in arguments:
        key, _, text = argument.partition("=")
        key = f"{key}._target_" if key in groups else key
        group, _, name = key.partition(".")
        value: Any = text
        if is_text(parameters.get(key)) or takes_text(key, typed):
            value = None if text == "null" else text
        elif name != "_target_":
            value = read_yaml(key, text)
        if name and group in groups:
            values.setdefault(group, {})[name] = value
        else:
            values[key] = value
    return values


def read_yaml(key: str, value: str) -> Any:
    """Read a value as YAML: a number, a list, true, null or text.

    Raises:
        UserError: It is not YAML.
    """
    from omegaconf import OmegaConf
    from yaml import YAMLError

    try:
        content: Any = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={value}"]))
        return content["value"]
    except YAMLError as error:
        raise UserError(f"{key}={value} cannot be read: {one_line(error)}") from error


def check_outputs(values: dict[str, Any]) -> None:
    """Check that a command's files can be written, before it computes anything.

    Args:
        values: {name: value} of its settings. `out` may be the beginning of several paths.

    Raises:
        UserError: The folder cannot be written, or the file is a folder.
    """
    for name in [name for name in OUTPUTS if values.get(name)]:
        path = Path(values[name])
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        try:
            if name == "statistics" and path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not path.exists() or path.is_file():  # anything else is written directly
                tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise UserError(
                f"{name}={path} cannot be written in {folder} ({error.strerror}): choose another "
                "path."
            ) from error


def write_json(result: Any, out: str | None) -> None:
    """Write a command's result as JSON to stdout, and to the file `out` if there is one."""
    text = strict_json.dumps(result)
    print(text)
    if out:
        write_text(out, text)


def help_text(function: Callable, parameters: dict[str, Parameter], rest: str | None = None) -> str:
    """Return the docstring of a command, and each parameter with its default and sentence."""
    module: Any = inspect.getmodule(function)
    usage = f"python -m {module.__spec__.name} "
    usage += f"{rest.upper()} ... KEY=VALUE ..." if rest else "KEY=VALUE ..."
    lines = [without_sections(inspect.getdoc(function) or ""), "", usage, ""]
    for key, parameter in parameters.items():
        if key != rest:
            lines += parameter.help(key)
    return "\n".join(lines)
