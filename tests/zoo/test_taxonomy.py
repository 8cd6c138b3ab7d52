"""Every model is at one leaf of the taxonomy, which its file or its package names."""

import sys
from types import ModuleType

import pytest

import zoo
from zoo.config.catalog import ROOT
from zoo.config.errors import UserError
from zoo.config.trust import import_class
from zoo.plots.taxonomy import draw_tree, node_places, tree_text
from zoo.table import show
from zoo.taxonomy import Leaf, leaf_of, models_of_leaves


@pytest.fixture(scope="module")
def leaves():
    return models_of_leaves({name: import_class("model", name) for name in zoo.models()})


def test_every_model_has_exactly_one_leaf(leaves):
    assert sorted(name for names in leaves.values() for name in names) == zoo.models()
    assert list(leaves) == list(Leaf)


@pytest.mark.parametrize(
    ("leaf", "names"),
    [
        (Leaf.FULLY_VISIBLE, ["pixelcnn", "wavenet"]),
        (Leaf.CHANGE_OF_VARIABLES, ["realnvp"]),
        (Leaf.VARIATIONAL, ["cvae", "vae"]),
        (Leaf.DIRECT, ["autoencoder", "gan", "glo", "pix2pix"]),
    ],
)
def test_models_are_where_goodfellow_has_them(leaf, names, leaves):
    assert set(names) <= set(leaves[leaf])


def module(monkeypatch, name, **values):
    made = ModuleType(name)
    vars(made).update(values)
    monkeypatch.setitem(sys.modules, name, made)


def class_in(module):
    return type("Model", (), {"__module__": module})


def test_the_file_of_a_model_takes_precedence_over_its_package(monkeypatch):
    module(monkeypatch, "toys", LEAF=Leaf.VARIATIONAL)
    module(monkeypatch, "toys.chain", LEAF=Leaf.MARKOV_CHAIN)
    module(monkeypatch, "toys.vae")
    assert leaf_of(class_in("toys.chain")) is Leaf.MARKOV_CHAIN
    assert leaf_of(class_in("toys.vae")) is Leaf.VARIATIONAL


def test_a_model_without_a_leaf_is_an_error(monkeypatch):
    module(monkeypatch, "toys")
    module(monkeypatch, "toys.vae")
    with pytest.raises(AttributeError, match=r"toys.vae and its package have no LEAF.*DIRECT"):
        leaf_of(class_in("toys.vae"))


def test_the_text_has_the_branches_and_the_models():
    text = tree_text({Leaf.VARIATIONAL: ["vae", "cvae"], Leaf.MARKOV_CHAIN: ["gsn"]})
    lines = [
        line.replace("│", " ").replace("└──", "   ").replace("├──", "   ")
        for line in text.splitlines()
    ]
    indents = {line.strip(): len(line) - len(line.lstrip()) for line in lines}
    assert indents["maximum likelihood"] == 0
    assert indents["implicit density"] == indents["explicit density"] == 4
    assert indents["variational"] == 12
    assert indents["vae, cvae"] == 16
    assert indents["gsn"] == 12
    assert text.count("no model") == 4
    assert max(map(len, lines)) <= 100


def test_a_parent_is_amid_its_children():
    places = node_places(dict.fromkeys(Leaf, 2.0))
    leaves = [places[leaf.value] for leaf in Leaf]
    assert leaves == [1, 3, 5, 7, 9, 11]
    assert places["explicit density", "tractable density"] == 2
    assert places[("explicit density",)] == 4
    assert places[()] == (4 + 10) / 2


def test_the_figure_shows_the_models(tmp_path, monkeypatch, capsys):
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")  # text, not outlines
    show(("taxonomy",), out=str(tmp_path / "tree.svg"))
    drawn = (tmp_path / "tree.svg").read_text()
    for name in zoo.models():
        assert name in drawn
    assert "Markov chain" in drawn
    assert capsys.readouterr().out == f"{tmp_path}/tree.svg\n"


def test_an_unknown_format_is_one_message(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(UserError, match=r"out=.*tree\.foo"):
        draw_tree({}, str(tmp_path / "tree.foo"))


def test_the_command_prints_the_tree(leaves, capsys):
    show(("taxonomy",))
    assert capsys.readouterr().out == tree_text(leaves) + "\n"


@pytest.mark.parametrize(
    ("name", "out", "message"),
    [(("tree",), None, "There is no table tree"), ((), "a.png", "out= is the figure of the taxo")],
)
def test_a_wrong_argument_is_one_message(name, out, message):
    with pytest.raises(UserError, match=message):
        show(name, out)


def test_the_readme_has_the_figure():
    assert "(docs/images/taxonomy.png)" in (ROOT / "README.md").read_text()
