"""A short run to sample from, to evaluate and to export; and the commands that do it."""

import sys

import pytest

from callbacks.checkpoint import Checkpoint
from datamodules.digits import Digits
from tests import kit
from zoo.config import cli


@pytest.fixture
def run(tmp_path):
    """The folder of two batches of WGAN on digits."""
    folder = tmp_path / "run"
    kit.fit(kit.build("wgan"), folder, 2, Digits(), callbacks=[Checkpoint()])
    return folder


@pytest.fixture
def conditional(tmp_path):
    """The folder of two batches of CGAN on digits."""
    folder = tmp_path / "conditional"
    kit.fit(kit.build("cgan"), folder, 2, Digits(), callbacks=[Checkpoint()])
    return folder


@pytest.fixture
def call(monkeypatch):
    """call(function, "key=value", ...): a command within this process."""

    def call(function, *arguments):
        monkeypatch.setattr(sys, "argv", [f"zoo/{function.__name__}.py", *map(str, arguments)])
        cli.main(function)

    return call
