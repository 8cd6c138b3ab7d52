"""Files that are written whole or not at all: a draft beside the target, then one rename."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

DRAFT = ".draft"
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary file that replaces `path` when the block ends.

    The draft lies beside the target, on the same disk. Its content and its folder are synced to
    the disk before and after the rename, so neither a crash nor a power failure leaves half a file.
    If the block fails, the draft is removed and the target stays as it was. A missing folder is
    made. What is not a regular file, such as /dev/stdout, is written to directly.

    Args:
        path: the target; a symbolic link stays, and the file that it points to is replaced.

    Raises:
        OSError: if the file cannot be written.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        with open(path, "wb") as file:
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}{DRAFT}")
    try:
        with open(draft, "xb") as file:
            _lock(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException as error:
        with suppress(OSError):
            draft.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a failed write does not name its file
        raise
    _sync_folder(path.parent)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Replace a file by these bytes, see `replacing`."""
    with replacing(path) as file:
        file.write(content)


def write_text(path: str | Path, content: str) -> None:
    """Replace a file by this text in UTF-8, see `replacing`."""
    write_bytes(path, content.encode())


def remove_drafts(folder: str | Path) -> None:
    """Remove the drafts that killed processes have left in a folder.

    A draft that a running process is writing is locked, and stays.
    """
    for draft in Path(folder).glob(f".*.*{DRAFT}"):
        with suppress(OSError), open(draft, "r+b") as file:
            if _lock(file):
                draft.unlink()


def is_disk_error(error: BaseException) -> bool:
    """Whether an error says that the disk is full or broken, rather than that the code is wrong."""
    return isinstance(error, OSError) and error.errno in DISK_ERRORS


def _lock(file):
    """Locks an open file until it is closed; False if another holds the lock or none can be had."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked, or a file system without locks
        return False
    return True


def _sync_folder(folder):
    with suppress(OSError):  # some systems cannot open or sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
