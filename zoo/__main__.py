"""Print the commands: python -m zoo"""

import ast
import re

from zoo.config.catalog import ROOT


def commands() -> dict[str, str]:
    """Return {name: first line of its docstring} of the modules that can be run."""
    found = {}
    for file in sorted((ROOT / "zoo").glob("[!_]*.py")):
        text = file.read_text(encoding="utf-8")
        if 'if __name__ == "__main__":' in text:
            docstring = ast.get_docstring(ast.parse(text)) or ""
            found[file.stem] = re.split(r": `?python", docstring.partition("\n")[0])[0].rstrip(".")
    return found


if __name__ == "__main__":
    summaries = commands()
    width = max(map(len, summaries))
    for name, summary in summaries.items():
        print(f"python -m zoo.{name:<{width}} {summary}")
    print("\npython -m zoo.NAME --help prints the settings of a command.")
