"""Commands: errors as one message, and a function whose signature is a command's settings."""

import ast
import inspect
import os
import sys
from contextlib import contextmanager
from pathlib import Path

from zoo.errors import UserError
from zoo.signature import MISSING, signature


@contextmanager
def messages():
    """Turns a UserError into one message and exit status 1; ZOO_TRACEBACK=1 shows the traceback."""
    try:
        yield
    except UserError as error:
        if "ZOO_TRACEBACK" in os.environ:
            raise
        sys.exit(f"Error: {error}")


def main(function):
    """Calls the function with the key=value arguments of the command line."""
    arguments = sys.argv[1:]
    parameters = signature(ast.parse(inspect.getsource(function)).body[0])
    if {"-h", "--help"} & set(arguments):
        print(help_text(function, parameters))
        return
    with messages():
        values = parse(arguments, parameters, Path(sys.argv[0]).stem)
        try:
            function(**values)
        except (ValueError, OSError, ImportError) as error:
            raise UserError(str(error)) from error


def parse(arguments, parameters, command):
    """The values of key=value arguments, names and types checked; UserError for a mistake."""
    from omegaconf import OmegaConf

    from zoo.config import converted

    for argument in arguments:
        if "=" not in argument:
            raise UserError(f"{argument} is not of the form KEY=VALUE; see --help.")
    values = OmegaConf.to_container(OmegaConf.from_dotlist(arguments))
    values = converted(values, parameters, command)
    for name, parameter in parameters.items():
        if parameter.default == MISSING and name not in values:
            raise UserError(f"{command} needs {name}=...; see --help.")
    return values


def help_text(function, parameters):
    """The docstring and the parameters with their defaults."""
    module = inspect.getmodule(function)
    name = module.__spec__.name
    lines = [inspect.getdoc(function), "", f"python -m {name} KEY=VALUE ...", ""]
    lines += [f"  {key}={parameter.default}" for key, parameter in parameters.items()]
    return "\n".join(lines)
