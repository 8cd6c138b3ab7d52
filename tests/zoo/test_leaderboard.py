"""python -m zoo.leaderboard: pretrained models under one protocol."""

import pytest
import torch

from zoo.config.errors import UserError
from zoo.leaderboard import command_of, leaderboard
from zoo.runs import leaderboard as runs
from zoo.runs.leaderboard import training_minutes
from zoo.runs.leaderboard_files import read_csv


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """The files of a leaderboard of two models."""
    out = tmp_path_factory.mktemp("board") / "board"
    out.with_suffix(".png").write_bytes(b"of an older leaderboard")
    leaderboard(("cgan_digits",), (1, 2), str(out), "cpu")
    leaderboard(("vae_digits",), (1,), str(out), "cpu")
    return out


def test_the_files_hold_both_models(board):
    entries = read_csv(board.with_suffix(".csv"))
    assert list(entries) == ["cgan_digits", "vae_digits"]
    values = entries["cgan_digits"].values
    first, second = values["fid_digits_2k"]
    assert first != second, "each seed has its own noise"
    assert max(first, second) < 20 < entries["vae_digits"].values["fid_digits_2k"][0]
    assert values["sampling_ms"][0] > 0
    assert len(values["copying_z_1k"]) == 2
    assert "bits_per_dim_iwae_64_levels17_test" in entries["vae_digits"].values
    assert "## digits 8x8" in board.with_suffix(".md").read_text()
    assert not board.with_suffix(".png").exists(), "two points are no comparison"


def test_without_an_extractor_a_model_has_only_its_own_numbers(monkeypatch):
    def missing(choice):
        raise FileNotFoundError("no weights")

    monkeypatch.setattr(runs, "load_extractor", missing)
    entry = runs.measure("gan_digits", (1,), torch.device("cpu"))
    assert not [name for name in entry.values if name.startswith("fid")]
    assert entry.values["sampling_ms"][0] > 0


def test_the_sampling_time_is_that_of_the_cpu_on_any_device(monkeypatch):
    devices = []
    monkeypatch.setattr(runs, "compared", lambda *args: {})
    monkeypatch.setattr(
        runs, "timed_samples", lambda model, *args: devices.append(model.device) or {}
    )
    runs.measure("gan_digits", (1,), torch.device("meta"))
    assert devices == [torch.device("cpu")]


def test_training_minutes_are_those_of_the_recipes_header():
    assert training_minutes("cgan_digits") == pytest.approx(46 / 60)
    assert training_minutes("dcgan_digits") == pytest.approx(2.3)
    assert training_minutes("wgan_cifar10") is None, "it states no time on a CPU"


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(UserError, match="vae_digits"):
        leaderboard(("vae_digit",), out=str(tmp_path / "board"))
    with pytest.raises(UserError, match="at least one seed"):
        leaderboard(seeds=(), out=str(tmp_path / "board"))
    assert not list(tmp_path.iterdir())


def test_the_page_names_its_own_command():
    assert command_of((1, 2, 3), "docs/leaderboard") == "python -m zoo.leaderboard"
    assert command_of((1,), "my/b") == "python -m zoo.leaderboard 'seeds=[1]' out=my/b"
