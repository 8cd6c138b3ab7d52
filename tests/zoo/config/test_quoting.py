"""Odd names of files arrive as they were typed, by every command."""

import json
import sys
import types
from itertools import zip_longest

import pytest

from zoo import fit
from zoo.config import cli, command_line
from zoo.config.quoting import in_quotes, parsed, quoted, unquoted
from zoo.sample import sample

ODD = [
    "josé/photos", "a=b", "epoch=0-step=12.ckpt", "a,b", "a, b", "(a)", "a(1)/b", "it's", "'",
    "''a", '"', 'say "hi"', "#1", "a#b", "{x}", "{a:1}", "~", "~/photos", "a~", "[a]", "[", "]",
    "1", "-1", "1e3", "0.5", "true", "nan", "a b", " a", "a ", "a:b", "a\\b", "a\\", "a\\'b",
    "\\\\server\\share", "日本語", "a%20b", "a&b", "a;b", "a|b", "a*b", "a?b", "a!b", "a@b", "a+b",
    "$HOME", "a$b", "`a`", "<a>", "a\tb", "--a", "-m", "+a", "a==b", "=", ",", "key=a,key=b",
    "Null", "none", "C:/x y/é=1",
]  # fmt: skip


@pytest.fixture
def settings_of(monkeypatch, tmp_path):
    """settings_of(arguments...): the checked settings of each run that zoo.fit would begin."""
    monkeypatch.chdir(tmp_path)
    runs = []
    stub = types.ModuleType("zoo.runs.training")
    stub.train = lambda settings, arguments: runs.append((settings, arguments))
    monkeypatch.setitem(sys.modules, "zoo.runs.training", stub)

    def call(*arguments):
        runs.clear()
        monkeypatch.setattr(sys, "argv", ["fit", *arguments])
        fit.main()
        return list(runs)

    return call


@pytest.mark.parametrize(("root", "folder"), zip_longest(ODD[::2], ODD[1::2], fillvalue=ODD[0]))
def test_paths_arrive_at_zoo_fit_as_they_were_typed(root, folder, settings_of):
    given = ["model=wgan", "data=image_folder", f"data.root={root}", f"folder={folder}"]
    ((settings, arguments),) = settings_of(*given)
    assert (settings.data.values["root"], settings.folder) == (root, folder)
    # What a run keeps for resume=, and what relaunched processes are given, is read as the same.
    assert parsed(arguments)["data.root"] == root
    assert parsed(arguments)["folder"] == folder
    assert command_line.complete(arguments) == arguments


@pytest.mark.parametrize("name", ["epoch=0-step=12.ckpt", "josé (1), it's {x} #~.ckpt"])
def test_a_run_and_a_checkpoint_of_odd_names_are_resumed(name, settings_of, tmp_path):
    run = tmp_path / "josé=1,(2)"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / name).touch()
    (run / "arguments.json").write_text(json.dumps(["model=wgan", "data=digits"]))
    for resume in (f"josé=1,(2)/checkpoints/{name}", "josé=1,(2)"):
        ((settings, _),) = settings_of(f"resume={resume}")
        assert settings.resume == resume
        assert settings.model.target == "zoo.adversarial.wgan.WGAN"


def test_a_recipe_of_an_odd_name_is_found(settings_of, tmp_path):
    file = tmp_path / "josé=1 (2).yaml"
    file.write_text("# @package _global_\ndefaults:\n  - override /model: wgan\nseed: 7\n")
    ((settings, _),) = settings_of(f"experiment={file.name}")
    assert settings.seed == 7


@pytest.mark.parametrize("name", ODD)
def test_paths_arrive_at_other_commands_as_they_were_typed(name):
    from tests.zoo.config.test_ranges import parameters_of

    given = [f"checkpoint={name}", f"out={name}", "data=image_folder", f"data.root={name}"]
    values = cli.parse([*given, "count=3"], parameters_of(sample), "sample")
    assert values["checkpoint"] == values["out"] == values["data"]["root"] == name
    assert values["count"] == 3


def test_captions_are_text_and_null_is_none():
    from tests.zoo.config.test_ranges import parameters_of

    given = ["checkpoint=x", "caption=a red circle: 3, or {4}", "condition=null", "label=null"]
    values = cli.parse(given, parameters_of(sample), "sample")
    assert values["caption"] == "a red circle: 3, or {4}"
    assert values["condition"] is values["label"] is None


def test_settings_that_are_no_text_keep_hydras_grammar(settings_of):
    ((settings, _),) = settings_of(
        "model=wgan",
        "model.lr=1e-3",
        "callbacks.metrics.metrics=[fid,kid]",
        "seed=3",
        "folder=null",
    )
    assert settings.model.values["lr"] == 1e-3
    assert settings.callbacks["metrics"].values["metrics"] == ("fid", "kid")
    assert settings.folder is None


def test_commas_separate_the_values_of_a_multirun_but_not_of_paths(settings_of):
    runs = settings_of(
        "-m", "model=gan,wgan", "model.network=mlp,dcgan", "model.lr=1e-4,1e-3", "folder=a,b"
    )
    assert len(runs) == 8
    assert {s.model.values["network"] for s, _ in runs} == {"mlp", "dcgan"}
    assert {s.model.values["lr"] for s, _ in runs} == {1e-4, 1e-3}
    assert {s.folder for s, _ in runs} == {"a,b"}


def test_quoted_values_are_unchanged():
    for setting in ("folder='a b'", 'folder="a,b"', "folder=plain", "seed=1", "~callbacks.metrics"):
        assert quoted([setting], multirun=False) == [setting]
    assert parsed(["folder='a b'", "+seed=1"]) == {"folder": "a b", "seed": "1"}


@pytest.mark.parametrize("name", ODD)
def test_quotes_come_off_again(name):
    assert unquoted(in_quotes(name)) == name
