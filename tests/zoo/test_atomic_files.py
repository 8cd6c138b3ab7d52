"""A file is replaced whole or not at all."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from zoo import atomic_files as files
from zoo.config.catalog import ROOT


def test_the_old_content_remains_until_the_new_is_complete(tmp_path):
    file = tmp_path / "new folder" / "a.txt"
    files.write_text(file, "old")
    with files.replacing(file) as draft:
        draft.write(b"new")
        assert file.read_text() == "old"
        assert len(os.listdir(file.parent)) == 2, "the draft is on the same disk"
    assert file.read_text() == "new"
    assert os.listdir(file.parent) == ["a.txt"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask()


def umask():
    old = os.umask(0)
    os.umask(old)
    return old


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_block_that_fails_leaves_the_old_file_and_no_draft(failure, tmp_path):
    file = tmp_path / "a.txt"
    files.write_text(file, "old")

    def fail():
        with files.replacing(file) as draft:
            draft.write(b"half")
            raise failure

    with pytest.raises(type(failure)) as raised:
        fail()
    if isinstance(failure, OSError):
        assert str(file) in str(raised.value)
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_content_and_folder_are_synced_around_the_rename(tmp_path, monkeypatch):
    done = []
    sync, replace = os.fsync, os.replace

    def fsync(descriptor):
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda *a: done.append("rename") or replace(*a))
    files.write_text(tmp_path / "a.txt", "new")
    assert done == ["file", "rename", "folder"]


def test_a_link_stays_a_link_and_a_device_is_written_to(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    files.write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"
    files.write_text(os.devnull, "lost")
    assert not os.path.isfile(os.devnull)


def test_drafts_of_killed_processes_are_removed_and_those_of_others_stay(tmp_path):
    code = f"""
import sys
from zoo.atomic_files import replacing
with replacing({str(tmp_path / "a.txt")!r}) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    (tmp_path / "mine.draft").write_text("not ours")
    try:
        process.stdout.readline()
        files.remove_drafts(tmp_path)
        assert len(os.listdir(tmp_path)) == 2, "the process is still writing"
    finally:
        process.kill()
        process.communicate()
    files.remove_drafts(tmp_path)
    assert os.listdir(tmp_path) == ["mine.draft"]


def test_errors_of_the_disk():
    assert files.is_disk_error(OSError(errno.ENOSPC, "full"))
    assert not files.is_disk_error(OSError(errno.ENOENT, "missing"))
    assert not files.is_disk_error(ValueError("full"))
