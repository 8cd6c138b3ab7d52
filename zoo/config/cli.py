"""Commands: errors as one message, and a function whose signature is a command's settings."""

import ast
import inspect
import json
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

from zoo.atomic_files import write_text
from zoo.config import catalog
from zoo.config.errors import UserError, one_line
from zoo.config.quoting import is_text, parsed, takes_text
from zoo.config.signature import MISSING, signature


@contextmanager
def messages():
    """Turns a UserError into one message and exit status 1; ZOO_TRACEBACK=1 shows the traceback.

    A reader of the output who leaves ends the command without a message, Ctrl-C with one word.
    """
    try:
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


def reader_left():
    """Whether nobody, such as `head`, reads what is printed any more; what is left is thrown away.

    A pipe to something else, a worker say, may break as well.
    """
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def main(function, rest=None):
    """Calls the function with the key=value arguments of the command line.

    `rest` is the parameter that takes all arguments without a key: files, or words without "=".
    """
    arguments = sys.argv[1:]
    parameters = signature(ast.parse(inspect.getsource(function)).body[0])
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
        try:
            function(**values)
        except BrokenPipeError:
            raise
        except (ValueError, OSError, ImportError) as error:
            raise UserError(str(error)) from error


def parse(arguments, parameters, command):
    """The values of key=value arguments, names and types checked; UserError for a mistake.

    A parameter called as a group of the catalog takes NAME=... and NAME.KEY=..., as in zoo.fit, and
    becomes a dict, with the class as `_target_`.
    """
    from zoo.config.composition import checked, converted

    for argument in arguments:
        if "=" not in argument:
            raise UserError(f"{argument} is not of the form KEY=VALUE; see --help.")
    groups = [name for name in parameters if name in catalog.FOLDERS]
    given, values = parsed(arguments), {}
    for argument in arguments:
        key, _, value = argument.partition("=")
        key = f"{key}._target_" if key in groups else key
        group, _, name = key.partition(".")
        if is_text(parameters.get(key)) or takes_text(key, given):
            value = None if value == "null" else value
        elif name != "_target_":
            value = read_yaml(key, value)
        if name and group in groups:
            values.setdefault(group, {})[name] = value
        else:
            values[key] = value
    values = converted(values, parameters, "")
    for group in catalog.FOLDERS.keys() & parameters.keys():
        if "_target_" in values.get(group, {}):  # else it is merged with what a checkpoint says
            values[group] = checked(values[group], group)
    for name, parameter in parameters.items():
        if parameter.default == MISSING and name not in values:
            raise UserError(f"{command} needs {name}=...; see --help.")
    return values


def read_yaml(key, value):
    """A value as YAML has it: a number, a list, true, null or text."""
    from omegaconf import OmegaConf
    from yaml import YAMLError

    try:
        return OmegaConf.to_container(OmegaConf.from_dotlist([f"value={value}"]))["value"]
    except YAMLError as error:
        raise UserError(f"{key}={value} cannot be read: {one_line(error)}") from error


def write_json(result, out):
    """Writes a command's result as JSON to stdout, and to the file `out` if there is one."""
    text = json.dumps(result, indent=2)
    print(text)
    if out:
        write_text(out, text)


def help_text(function, parameters, rest=None):
    """The docstring and the parameters with their defaults."""
    module = inspect.getmodule(function)
    name = module.__spec__.name
    lines = [inspect.getdoc(function), "", f"python -m {name} KEY=VALUE ...", ""]
    if rest:
        lines[2] = f"python -m {name} {rest.upper()} ... KEY=VALUE ..."
    shown = {key: parameter for key, parameter in parameters.items() if key != rest}
    lines += [f"  {key}={parameter.shown}" for key, parameter in shown.items()]
    return "\n".join(lines)
