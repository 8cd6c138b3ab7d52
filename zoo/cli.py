"""A function as a command: its signature is the command's settings."""

import ast
import inspect
import sys
from pathlib import Path

from omegaconf import OmegaConf

from zoo.config import check_names
from zoo.errors import UserError
from zoo.signature import MISSING, convert, signature


def main(function):
    """Calls the function with the key=value arguments of the command line."""
    arguments = sys.argv[1:]
    parameters = parameters_of(function)
    if {"-h", "--help"} & set(arguments):
        print(help_text(function, parameters))
        return
    try:
        function(**parse(arguments, parameters, Path(sys.argv[0]).stem))
    except UserError as error:
        sys.exit(f"Error: {error}")


def parameters_of(function):
    """{name: Parameter} of a function, as the catalog reads classes."""
    node = ast.parse(inspect.getsource(function)).body[0]
    return signature(node)


def parse(arguments, parameters, command):
    """The values of key=value arguments, names and types checked; UserError for a mistake."""
    for argument in arguments:
        if "=" not in argument:
            raise UserError(f"{argument} is not of the form KEY=VALUE; see --help.")
    values = OmegaConf.to_container(OmegaConf.from_dotlist(arguments))
    check_names(values, parameters, command)
    for name, parameter in parameters.items():
        if parameter.default == MISSING and name not in values:
            raise UserError(f"{command} needs {name}=...; see --help.")
    return {
        name: convert(value, parameters[name].annotation, name) for name, value in values.items()
    }


def help_text(function, parameters):
    """The docstring and the parameters with their defaults."""
    module = inspect.getmodule(function)
    name = module.__spec__.name
    lines = [inspect.getdoc(function), "", f"python -m {name} KEY=VALUE ...", ""]
    lines += [f"  {key}={parameter.default}" for key, parameter in parameters.items()]
    return "\n".join(lines)
