"""No two runs share a folder, and nothing is removed that the run did not make."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from zoo.config.errors import UserError
from zoo.runs import run_folder as folders
from zoo.runs.run_folder import claim


class Frozen(datetime):
    @classmethod
    def now(cls):
        return cls(2030, 1, 2, 3, 4, 5)


def test_runs_of_one_second_have_separate_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "datetime", Frozen)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: claim(None, tmp_path / "a", f"seed: {n}"), range(8)))
    names = ["2030-01-02_03-04-05", *(f"2030-01-02_03-04-05_{n}" for n in range(1, 8))]
    assert sorted(f.path.name for f in found) == sorted(names)
    settings = {(f.path / "config.yaml").read_text() for f in found}
    assert len(settings) == 8, "each holds the settings of its own run"


def test_one_of_several_runs_gets_a_chosen_folder(tmp_path):
    def attempt(number):
        try:
            return claim(str(tmp_path / "run"), Path(), f"seed: {number}")
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(attempt, range(8)))
    messages = [f for f in found if isinstance(f, str)]
    assert len(messages) == 7
    assert all("holds a run: take another, or resume=" in message for message in messages)
    (winner,) = (n for n, f in enumerate(found) if not isinstance(f, str))
    assert (tmp_path / "run/config.yaml").read_text() == f"seed: {winner}"


def test_a_run_that_takes_the_folder_in_between_keeps_it(tmp_path, monkeypatch):
    claim(str(tmp_path / "run"), Path(), "seed: 1")
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(()))  # it was empty a moment ago
    with pytest.raises(UserError, match="holds a run"):
        claim(str(tmp_path / "run"), Path(), "seed: 2")
    assert (tmp_path / "run/config.yaml").read_text() == "seed: 1"


@pytest.mark.parametrize("name", ["notes.txt", "config.yaml", "hparams.yaml", "checkpoints"])
def test_a_user_folder_is_refused_and_unchanged(name, tmp_path):
    (tmp_path / name).mkdir() if name == "checkpoints" else (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=r"is not empty|holds a run"):
        claim(str(tmp_path), Path(), "seed: 0")
    assert os.listdir(tmp_path) == [name]
    if name != "checkpoints":
        assert (tmp_path / name).read_text() == "mine"


def test_withdraw_removes_what_the_run_created(tmp_path):
    best = tmp_path / "best.ckpt"
    best.write_bytes(b"the best")
    folder = claim(str(tmp_path / "deep" / "run"), Path(), "seed: 0")
    folder.write("arguments.json", "[]")
    folder.copy(best)
    assert (folder.path / "checkpoints/best.ckpt").read_bytes() == b"the best"
    folder.withdraw()
    assert os.listdir(tmp_path) == ["best.ckpt"]


def test_withdraw_keeps_what_others_created(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    claim(str(empty), Path(), "seed: 0").withdraw()
    assert list(tmp_path.rglob("*")) == [empty], "the folder was the user's"
    folder = claim(None, tmp_path / "outputs", "seed: 0")
    (folder.path / "notes.txt").write_text("mine")
    folder.withdraw()
    assert os.listdir(folder.path) == ["notes.txt"]
