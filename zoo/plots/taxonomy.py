"""The tree of Goodfellow's taxonomy, with models at its leaves, as text and as a figure."""

from textwrap import wrap
from typing import Any

from zoo.plots.charts import new_chart, save_chart
from zoo.taxonomy import Leaf

ROOT = "maximum likelihood"
LINE_LENGTH = 56  # characters of a line of models in the figure
COLUMN, LINE, MODELS = 1.7, 0.22, 4.7  # inches: a level of the tree, a line of text, its length


def tree_text(models: dict[Leaf, list[str]]) -> str:
    """Draw the tree with characters.

    Args:
        models: {leaf: names of its models}. A leaf without models is drawn, too.
    """
    from rich.console import Console
    from rich.tree import Tree

    nodes: dict[tuple[str, ...], Any] = {(): Tree(ROOT)}
    for leaf in Leaf:
        for depth, name in enumerate(leaf.value):
            path = leaf.value[: depth + 1]
            if path not in nodes:
                nodes[path] = nodes[path[:-1]].add(name)
        nodes[leaf.value].add(", ".join(models.get(leaf, [])) or "no model")
    console = Console(width=100, color_system=None)
    with console.capture() as text:
        console.print(nodes[()], highlight=False)
    return text.get().rstrip()


def draw_tree(models: dict[Leaf, list[str]], out: str) -> None:
    """Draw the tree as a figure, with the root on the left and the models on the right.

    Args:
        models: {leaf: names of its models}. A leaf without models is drawn, too.
        out: Path of the figure, in any format of matplotlib.

    Raises:
        UserError: matplotlib is not installed, or does not know the format.
    """
    lines = {
        leaf: wrap(", ".join(models.get(leaf, [])), LINE_LENGTH) or ["no model"] for leaf in Leaf
    }
    height = LINE * sum(len(text) + 1.5 for text in lines.values())
    columns = 1 + max(len(leaf.value) for leaf in Leaf)
    chart = new_chart(COLUMN * columns + MODELS, height, constrained=False)
    axes = chart.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.4, columns + MODELS / COLUMN - 0.4), ylim=(height, 0))
    axes.set_axis_off()
    place = node_places({leaf: LINE * (len(text) + 1.5) for leaf, text in lines.items()})
    for path in place:
        draw_node(axes, path, place)
    for leaf, text in lines.items():
        x, y = columns - 0.45, place[leaf.value]
        axes.plot([len(leaf.value), x], [y, y], color="0.8", linestyle=":", zorder=0)
        background = {"facecolor": "white", "edgecolor": "none", "pad": 2}
        axes.text(
            x, y, "\n".join(text), va="center", fontsize=10, family="monospace", bbox=background
        )
    save_chart(chart, out)


def node_places(heights: dict[Leaf, float]) -> dict[tuple[str, ...], float]:
    """Return {path of a node: its y}: leaves one below the other, a parent amid its children.

    Args:
        heights: {leaf: height of its row}.
    """
    place: dict[tuple[str, ...], float] = {}
    top = 0.0
    for leaf, height in heights.items():
        place[leaf.value] = top + height / 2
        top += height
    paths = {leaf.value[:depth] for leaf in heights for depth in range(len(leaf.value))}
    for path in sorted(paths, key=len, reverse=True):
        children = [y for child, y in place.items() if child[:-1] == path and child]
        place[path] = (min(children) + max(children)) / 2
    return place


def draw_node(axes: Any, path: tuple[str, ...], place: dict[tuple[str, ...], float]) -> None:
    """Draw a node of the tree and the line to its parent on matplotlib axes."""
    x, y = len(path), place[path]
    if path:
        parent = place[path[:-1]]
        axes.plot([x - 1, x - 0.5, x - 0.5, x], [parent, parent, y, y], color="0.5", zorder=0)
    name = "\n".join(wrap(path[-1] if path else ROOT, 13))
    box = {"boxstyle": "round", "facecolor": "#e8eef7", "edgecolor": "0.5"}
    axes.text(x, y, name, ha="center", va="center", fontsize=10, bbox=box)
