"""Print the README's table of models or its taxonomy: python -m zoo.table"""

import ast
import json
import re
import warnings
from functools import cache
from pathlib import Path

from zoo.config import catalog
from zoo.config.errors import UserError, unknown
from zoo.config.trust import import_class
from zoo.plots.taxonomy import draw_tree, tree_text
from zoo.runs.leaderboard_files import Entry, cell, read_csv
from zoo.taxonomy import models_of_leaves

PRETRAINED = "pretrained models, headline number"
COLUMNS = ("model", "paper", "parameters", "data", "headline number", PRETRAINED)
METRIC = r"(?P<metric>[a-z]\w*_\w+)"
NUMBERS = r"(?P<numbers>\d[\d.]*(?: (?:±|\+-) [\d.]*\d|(?:,| and) [\d.]*\d)*)"
HEADLINE = re.compile(f"{METRIC} +{NUMBERS}")  # "fid_digits_2k 5.60 ± 0.54", "accuracy 0.9 and 0.8"


def show(name: tuple[str, ...] = ("models",), out: str | None = None) -> None:
    """Print the README's table of models, or Goodfellow's taxonomy with the models at its leaves.

    python -m zoo.table                           the table, as Markdown
    python -m zoo.table taxonomy                  the tree, as text
    python -m zoo.table taxonomy out=tree.png     the tree, as a figure

    Nothing is listed by hand. Papers come from the models' docstrings, data and headline numbers
    from the recipes' headers, parameter counts from the built models, checkpoints from
    zoo/pretrained and their numbers from docs/leaderboard.csv. The leaf of a model is the LEAF of
    its file or of its package.

    Args:
        name: The table or the tree, without a key.
        out: A figure of the tree, in any format of matplotlib (.png, .pdf, .svg).
    """
    if name == ("taxonomy",):
        names = catalog.names("model")
        leaves = models_of_leaves({name: import_class("model", name) for name in names})
        if out is None:
            print(tree_text(leaves))
        else:
            draw_tree(leaves, out)
            print(out)
    elif name not in ((), ("models",)):
        raise unknown("table ", " ".join(name), ("models", "taxonomy"))
    elif out is not None:
        raise UserError("out= is the figure of the taxonomy: python -m zoo.table taxonomy out=...")
    else:
        print(table())


def table() -> str:
    """Return the table as Markdown, one row for each model."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(row(name))} |" for name in catalog.names("model")]
    return "\n".join(lines)


def row(name: str) -> list[str]:
    """Return the cells of a model's row.

    Args:
        name: Name of the model, as in `model=NAME`.
    """
    target = catalog.describe("model", name).target
    file = target.rpartition(".")[0].replace(".", "/") + ".py"
    family = file.split("/")[1]
    data, headline = recipe_of(name)
    recipe = f"{name}_{data}"
    return [
        f"[`{name}`]({file}) ([{family}](docs/{family}.md#{name}))",
        paper(file),
        f"{parameter_count(recipe):,}",
        f"[{data}](experiments/{recipe}.yaml)",
        headline or "not measured",
        ", ".join(with_number(checkpoint) for checkpoint in pretrained(target)),
    ]


def paper(file: str) -> str:
    """Return the first line of a file's docstring, with links to arXiv."""
    docstring = ast.get_docstring(ast.parse((catalog.ROOT / file).read_text(encoding="utf-8")))
    text = (docstring or "").partition("\n")[0].replace("|", "\\|")
    return re.sub(r"(?:arXiv )?(\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text)


def recipe_of(name: str) -> tuple[str, str]:
    """Return (data, headline number) of a model's recipe; the number is "" where none is measured.

    The recipe is that of the default data, if it is measured, else the first one that is.
    """
    files = catalog.recipes()
    data = sorted(catalog.names("data"), key=lambda data: data != "digits")
    found = {d: headline(files[f"{name}_{d}"]) for d in data if f"{name}_{d}" in files}
    return max(found.items(), key=lambda item: bool(item[1]))


def headline(recipe: Path) -> str:
    """Return the first metric with its number in a recipe's `# Expected:`, "" where there is none.

    Args:
        recipe: File of the recipe.
    """
    header = re.sub(r"\n# *", " ", recipe.read_text(encoding="utf-8").replace("\n#\n", "\n\n"))
    expected = re.search(r"Expected: (.*)", header)
    if expected is None or expected[1].startswith("not "):
        return ""
    found = HEADLINE.search(expected[1])
    return f"`{found['metric']}` {found['numbers'].replace('+-', '±')}" if found else ""


def parameter_count(recipe: str) -> int:
    """Return the number of parameters of the model that a recipe builds, all networks together."""
    from hydra import compose, initialize_config_dir

    from zoo.config import composition
    from zoo.runs.training import build_model

    folder = str(catalog.ROOT / "zoo/config")
    with warnings.catch_warnings(), initialize_config_dir(folder, version_base="1.3"):
        composed = compose("fit", overrides=[f"experiment={recipe}"])
    _, _, model = build_model(composition.check(composed))
    return sum(parameter.numel() for parameter in model.parameters())


def with_number(checkpoint: str) -> str:
    """Return a pretrained model's name, with the leaderboard's value of its recipe's metric."""
    entry = leaderboard().get(checkpoint)
    metric = headline(catalog.recipes()[checkpoint]).partition("`")[2].partition("`")[0]
    if entry is None or metric not in entry.values:
        return f"`{checkpoint}`"
    return f"`{checkpoint}` {cell(entry, metric)}"


@cache
def leaderboard() -> dict[str, Entry]:
    """Return the entries of docs/leaderboard.csv, {} where there is no such file."""
    file = catalog.ROOT / "docs/leaderboard.csv"
    return read_csv(file) if file.exists() else {}


def pretrained(target: str) -> list[str]:
    """Return the names of the pretrained models of a class."""
    files = sorted((catalog.ROOT / "zoo/pretrained").glob("*.json"))
    return [file.stem for file in files if json.loads(file.read_text())["class"] == target]


if __name__ == "__main__":
    from zoo.config.cli import main

    main(show, rest="name")
