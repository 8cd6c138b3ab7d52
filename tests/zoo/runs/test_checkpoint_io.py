"""Checkpoints are written beside their target, and torch's errors say why they were not."""

import errno
import os

import pytest
import torch

from zoo.runs.checkpoint_io import AtomicCheckpointIO

CONTENT = {"weights": torch.arange(50_000)}


def test_checkpoints_are_not_staged_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    file = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(CONTENT, file)
    assert torch.equal(torch.load(file, weights_only=True)["weights"], CONTENT["weights"])
    assert os.listdir(file.parent) == ["last.ckpt"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_an_error_of_the_system():
    with pytest.raises(OSError, match="No space left") as full:
        AtomicCheckpointIO().save_checkpoint(CONTENT, "/dev/full")
    assert full.value.errno == errno.ENOSPC


def test_an_error_of_torchs_own_stays(tmp_path):
    with pytest.raises(Exception, match="pickle"):
        AtomicCheckpointIO().save_checkpoint({"function": lambda: 0}, tmp_path / "last.ckpt")
    assert not os.listdir(tmp_path)
