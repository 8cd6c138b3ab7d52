"""Curves continue across resumes, and several runs share a panel."""

import json
import sys

import pytest

from zoo import plot
from zoo.config.cli import main
from zoo.plots import curves as plotting


def run(folder, rows, resume=None):
    """A run's folder with a log of {batch: (loss, fid)}."""
    (folder / "checkpoints").mkdir(parents=True)
    lines = [f"{batch},{loss},{fid},3.0" for batch, (loss, fid) in rows.items()]
    header = "step,train/critic_loss,val/fid_digits_2k,val/real_fid_digits_360"
    (folder / "metrics.csv").write_text("\n".join([header, *lines]) + "\n")
    where = "null" if resume is None else resume / "checkpoints/last.ckpt"
    (folder / "config.yaml").write_text(f"seed: 0\nresume: {where}\n")
    return folder


@pytest.fixture
def chain(tmp_path):
    """Three runs, the later ones resumed; the first was killed after its last checkpoint."""
    first = run(tmp_path / "a", {0: ("", 9.0), 10: (5.0, 8.0), 20: (4.0, ""), 30: (99.0, 99.0)})
    second = run(tmp_path / "b", {30: (3.0, 7.0), 40: (2.0, "")}, first)
    return run(tmp_path / "c", {50: (1.0, 6.0)}, second)


def test_the_log_of_a_resumed_run_continues_those_before(chain):
    log, joints = plotting.read_history(chain)
    assert log["train/critic_loss"] == {10: 5.0, 20: 4.0, 30: 3.0, 40: 2.0, 50: 1.0}
    assert log["val/fid_digits_2k"] == {0: 9.0, 10: 8.0, 30: 7.0, 50: 6.0}
    assert joints == [30, 50]


def test_runs_that_were_moved_together_find_each_other(chain, tmp_path):
    (tmp_path / "moved").mkdir()
    for name in "abc":
        (tmp_path / name).rename(tmp_path / "moved" / name)
    assert plotting.read_history(tmp_path / "moved/c")[1] == [30, 50]


def test_a_run_whose_resumed_run_is_missing_is_plotted_alone(tmp_path):
    alone = run(tmp_path / "b", {30: (3.0, 7.0)}, tmp_path / "gone")
    assert plotting.read_history(alone) == (
        {
            "train/critic_loss": {30: 3.0},
            "val/fid_digits_2k": {30: 7.0},
            "val/real_fid_digits_360": {30: 3.0},
        },
        [],
    )


def test_labels_are_the_settings_that_differ(tmp_path):
    given = {
        "a": ["model=wgan", "++model.lr=0.1", "seed=1"],
        "b": ["model=wgan", "++model.lr=0.2", "seed=1"],
        "c": ["model=wgan", "++model.lr=0.2", "seed=1"],
        "d": None,
    }
    for name, arguments in given.items():
        (tmp_path / name).mkdir()
        if arguments:
            (tmp_path / name / "arguments.json").write_text(json.dumps(arguments))
    a, b, c, d = runs = [str(tmp_path / name) for name in given]
    assert plotting.run_labels([a, b]) == {a: "model.lr=0.1", b: "model.lr=0.2"}
    labels = plotting.run_labels([a, b, c])
    assert labels == {a: "model.lr=0.1", b: f"model.lr=0.2 {b}", c: f"model.lr=0.2 {c}"}
    assert plotting.run_labels([a]) == {a: a}
    assert plotting.run_labels(runs)[d] == d


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["zoo/plot.py", *map(str, arguments)])
    main(plot.plot, rest="runs")


def test_the_command_draws_several_runs_whatever_their_names(chain, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    seen = {}
    draw = plot.draw_curves

    def spy(curves, *rest):
        seen.update({name: list(of_runs) for name, of_runs in curves.items()})
        draw(curves, *rest)

    monkeypatch.setattr(plot, "draw_curves", spy)
    other = run(tmp_path / "lr=1", {0: ("", 9.0), 10: (1.0, 8.0)})
    call(monkeypatch, chain, other, f"out={tmp_path / 'curves.pdf'}")
    assert seen == {name: [str(chain), str(other)] for name in ("critic_loss", "fid_digits_2k")}
    assert (tmp_path / "curves.pdf").read_bytes().startswith(b"%PDF")
    seen.clear()
    call(monkeypatch, chain, "names=[real_]", f"out={tmp_path / 'curves.png'}")
    assert list(seen) == ["real_fid_digits_360"]


def test_numbers_of_training_and_validation_with_one_name_are_two_curves(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(plot, "draw_curves", lambda curves, *rest: seen.update(curves))
    folder = run(tmp_path / "a", {10: (5.0, 8.0)})
    (folder / "metrics.csv").write_text("step,train/nll,val/nll,val/fid\n10,1.0,2.0,3.0\n")
    call(monkeypatch, folder)
    name = str(folder)
    assert seen == {
        "train/nll": {name: {10: 1.0}},
        "val/nll": {name: {10: 2.0}},
        "fid": {name: {10: 3.0}},
    }
    seen.clear()
    call(monkeypatch, folder, "names=[nll]")
    assert list(seen) == ["train/nll", "val/nll"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Pass the folders of runs"),
        (["nowhere"], "nowhere is not the folder of a run: nowhere/metrics.csv does not exist"),
        (["RUN", "names=[kid]"], "no values are logged as kid"),
        (["RUN", "out=curves.txt"], "out=curves.txt"),
        (["RUN", "size=3"], "There is no setting size. There are: out, names."),
    ],
)
def test_wrong_arguments_give_one_message(arguments, message, chain, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, *[chain if a == "RUN" else a for a in arguments])
    assert message in str(stop.value)


def test_without_matplotlib(chain, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SystemExit, match="pip install matplotlib"):
        call(monkeypatch, chain)


def test_help_names_the_runs(monkeypatch, capsys):
    call(monkeypatch, "--help")
    assert "python -m zoo.plot RUNS ... KEY=VALUE ..." in capsys.readouterr().out
