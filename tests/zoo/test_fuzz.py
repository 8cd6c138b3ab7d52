"""Command lines that nobody meant: each is a run, or one line that says what is wrong."""

import random
import sys
import types

import pytest

from zoo import fit
from zoo.config import catalog

VALUES = [
    "-1", "0", "1", "2", "3", "7", "1000000000000", "-1000000000000", "0.5", "1.5", "-0.5", "1e-4",
    "1e400", "nan", "inf", "-inf", ".nan", "null", "true", "false", "''", '""', "abc", "a.b", "[]",
    "[-1]", "[1,2]", "[null]", "{}", "{a:1}", "[[1]]", "1,2", "a=b", "é", "a b", "(", ")", "[",
    "{", "'", '"', "#", "~", "$", "${", "${x}", "${seed}", "\\", "*", "@", "%", "`", "a,b,", "...",
    ".", "/", "//", "../..", "-", "--", "0x10", "1_000", "1e3", "True", "None", "~", "!x", "&x",
]  # fmt: skip
GROUPS = ("model", "data", "callbacks", "logger", "extractor", "experiment")
TRAINER = ("max_steps", "max_epochs", "devices", "accelerator", "precision", "log_every_n_steps")
TRAINER += ("gradient_clip_val", "limit_train_batches", "num_nodes", "strategy", "default_root_dir")


def keys():
    """Every setting that the catalog knows, and some that nobody does."""
    found = [
        "seed",
        "threads",
        "folder",
        "resume",
        "trust",
        "x",
        "model.x",
        "hydra.x",
        "",
        ".",
        "a/b",
    ]
    found += [*GROUPS, *(f"trainer.{name}" for name in TRAINER)]
    for group in ("data", "logger", "extractor"):
        for name in catalog.names(group):
            found += [f"{group}.{key}" for key in catalog.describe(group, name).parameters]
    for name in catalog.names("callbacks"):
        found += [
            f"callbacks.{name}.{key}" for key in catalog.describe("callbacks", name).parameters
        ]
    return list(dict.fromkeys(found))


def line(rng, known):
    """A command line: a model, perhaps data, and one to three settings with odd values."""
    model = rng.choice(catalog.names("model"))
    arguments = [f"model={model}"] if rng.random() < 0.9 else []
    if rng.random() < 0.3:
        arguments.append(f"data={rng.choice(catalog.names('data'))}")
    own = [f"model.{key}" for key in catalog.describe("model", model).parameters]
    for _ in range(rng.randint(1, 3)):
        key = rng.choice(own) if rng.random() < 0.4 else rng.choice(known)
        prefix = rng.choice(["", "", "", "", "+", "++", "~"])
        arguments.append(f"{prefix}{key}={rng.choice(VALUES)}")
    if rng.random() < 0.05:
        arguments.append(
            rng.choice(["--cfg", "-m", "--multirun", "--cfg=job", "-x", "x", "--help"])
        )
    return arguments


@pytest.fixture
def untrained(monkeypatch, tmp_path):
    """A command that stops where torch would be imported."""
    monkeypatch.chdir(tmp_path)
    stub = types.ModuleType("zoo.runs.training")
    stub.train = lambda settings, arguments: None
    monkeypatch.setitem(sys.modules, "zoo.runs.training", stub)

    def call(arguments):
        monkeypatch.setattr(sys, "argv", ["fit", *arguments])
        fit.main()

    return call


@pytest.mark.parametrize("seed", range(4))
def test_odd_command_lines_are_a_run_or_one_line(seed, untrained, capfd):
    rng, known, faults = random.Random(seed), keys(), []
    for _ in range(30):
        arguments = line(rng, known)
        try:
            untrained(arguments)
        except SystemExit as stop:
            text = str(stop.code)
            if stop.code not in (None, 0) and not (text.startswith("Error: ") and "\n" not in text):
                faults.append((arguments, text))
        except Exception as error:
            faults.append((arguments, f"{type(error).__name__}: {error}"))
    assert not faults
    assert "Traceback" not in capfd.readouterr().err
