"""The table of models in the README: python -m zoo.table"""

import ast

from zoo.config import catalog


def table():
    """Markdown: each model's name and file, its family, and what its file says it is."""
    lines = ["| model | family | what it is |", "|---|---|---|"]
    for name in catalog.names("model"):
        path = catalog.describe("model", name).target.rpartition(".")[0].replace(".", "/") + ".py"
        docstring = ast.get_docstring(ast.parse((catalog.ROOT / path).read_text()))
        family = path.split("/")[1]
        what = docstring.splitlines()[0].replace("|", "\\|")
        lines.append(f"| [`{name}`]({path}) | {family} | {what} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
