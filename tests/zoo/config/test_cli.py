"""Settings of a command: checked, explained."""

import os
import subprocess
import sys
import warnings

import pytest

from zoo.config.catalog import ROOT
from zoo.config.cli import messages
from zoo.evaluate import evaluate
from zoo.export import export
from zoo.probe import probe
from zoo.sample import sample


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["checkpoint=nowhere"], "no checkpoint nowhere"),
        ([], "sample needs checkpoint="),
        (["checkpoint=a", "cuont=3"], "no setting cuont. Did you mean count"),
        (["++checkpoint=a", "++cuont=3"], "no setting cuont. Did you mean count"),
        (["checkpoint=a", "trsut=b"], "no setting trsut. Did you mean trust"),
        (["checkpoint=a", "trust=no_package"], "trust=no_package: Python finds no package or mod"),
        (["checkpoint=a", "trust=[zoo,zoo.none]"], "trust=zoo.none: Python finds no package or mo"),
        (["checkpoint=a", "trust=true"], r"trust=True is of the wrong type: .*\.\.\.\]\.$"),
        (["checkpoint=a", "count=many"], "count='many' is of the wrong type"),
        (["wgan_digits"], "not of the form KEY=VALUE"),
        (["checkpoint=wgan_digits", "count=0"], "count=0 must be at least 1"),
        (["checkpoint=wgan_digits", "accelerator=elsewhere"], "accelerator=elsewhere devices=1"),
        (["checkpoint=wgan_digits", "condition=nofile"], "nofile"),
    ],
)
def test_mistakes_are_one_message(arguments, message, call):
    with pytest.raises(SystemExit, match=message):
        call(sample, *arguments)


def test_help_shows_the_parameters(call, capsys):
    call(sample, "--help")
    printed = capsys.readouterr().out
    assert "python -m zoo.sample" in printed
    assert "count=64" in printed


@pytest.mark.parametrize("module", ["zoo.fit", "zoo.sample"])
def test_a_reader_may_leave(module):
    command = [sys.executable, "-m", module, "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()  # as `head` does
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_other_broken_pipes_are_reported():
    with pytest.raises(BrokenPipeError), messages():
        raise BrokenPipeError("a worker has ended")


def losing_a_worker():
    raise BrokenPipeError("a worker has ended")


def test_a_command_that_loses_a_worker_is_not_taken_for_a_mistake(call):
    with pytest.raises(BrokenPipeError):
        call(losing_a_worker)


@pytest.mark.parametrize(
    ("command", "argument", "package"),
    [
        ("fit", "model=wgan", "callbacks"),
        ("sample", "checkpoint=wgan_digits", "callbacks"),
        ("evaluate", "checkpoint=wgan_digits", "datamodules"),
    ],
)
def test_a_package_that_hides_one_of_the_zoo_is_one_message(tmp_path, command, argument, package):
    """Also where it is on PYTHONPATH before the zoo, as an installed package may be."""
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    line = [sys.executable, "-m", f"zoo.{command}", argument]
    # Not from the zoo's own folder, which `python -m` would put first on the path.
    done = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    (message,) = done.stderr.splitlines()
    assert f"{tmp_path}/{package}/__init__.py hides the zoo's {ROOT / package}: rename" in message


@pytest.mark.parametrize("command", [sample, evaluate, export, probe])
def test_files_that_cannot_be_written_are_refused_before_compute(command, call, tmp_path):
    (tmp_path / "file").touch()
    place = f"out={tmp_path / 'file' / 'folder' / 'name'}"
    with pytest.raises(SystemExit, match=r"out=.* cannot be written in .*file \(Not a directory\)"):
        call(command, "checkpoint=nowhere", place)


def test_statistics_that_cannot_be_written_are_refused_before_compute(call, tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file/name.npz", tmp_path):
        with pytest.raises(SystemExit, match=r"statistics=.* cannot be written in "):
            call(evaluate, "checkpoint=nowhere", f"statistics={place}")
    with pytest.raises(SystemExit, match="no checkpoint nowhere"):
        call(evaluate, "checkpoint=nowhere", f"statistics={tmp_path / 'new/folder/name.npz'}")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_warning_is_one_line_without_its_place_in_the_code():
    before = warnings.formatwarning
    with messages():
        assert (
            warnings.formatwarning("too few\nimages", UserWarning, "a.py", 3) == "too few images\n"
        )
    assert warnings.formatwarning is before
