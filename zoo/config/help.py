"""What `python -m zoo.fit --help` prints."""

from zoo.config import catalog
from zoo.config.signature import without_sections
from zoo.config.stored_arguments import GROUPS


def fit_help(arguments: list[str], usage: str) -> str:
    """Return the parameters of the chosen components, or else an overview.

    Args:
        arguments: The command line. Components are chosen by model=NAME and the like.
        usage: The docstring of the command, which the overview starts with.
    """
    chosen = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    lines = []
    for group in GROUPS[:-1]:
        for name in filter(None, chosen.get(group, "").strip("[]").split(",")):
            lines += component_help(group, name)
            pair = f"{name}_{chosen.get('data', 'digits')}"
            if group == "model" and pair in catalog.recipes():
                lines += [f"The recipe {pair} sets, unless experiment=none:"]
                lines += [f"  {line}" for line in catalog.recipes()[pair].read_text().splitlines()]
            lines += [""]
    return "\n".join(lines) if lines else overview(usage)


def component_help(group: str, name: str) -> list[str]:
    """Return the lines of a component: its docstring, and each parameter with its sentence."""
    component = catalog.describe(group, name)
    where = f"{group}.{name}" if group == "callbacks" else group
    lines = [f"{group}={name}: {without_sections(component.text)}", ""]
    for key, parameter in component.parameters.items():
        lines += parameter.help(f"{where}.{key}")
    return lines


def overview(usage: str) -> str:
    """Return the usage, and each model, data module, ... and recipe with its first line."""
    sections = {
        group: {name: catalog.describe(group, name).summary for name in catalog.names(group)}
        for group in GROUPS[:-1]
    }
    sections["experiment"] = {
        name: file.read_text().splitlines()[1].lstrip("# ")
        for name, file in catalog.recipes().items()
    }
    lines = [usage]
    for group, entries in sections.items():
        lines += [f"{group}="]
        lines += [f"  {name:<18} {summary}" for name, summary in entries.items()]
        lines += [""]
    return "\n".join(lines)
