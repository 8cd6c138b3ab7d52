"""Atomic file writes: a draft is written beside the target and then replaces it."""

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
    fcntl = None  # type: ignore[assignment]

DRAFT = ".draft"
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary file that replaces `path` when the block ends.

    The draft is written beside the target, on the same disk. Its content is synced to the disk
    before the rename and its folder after it, so that neither a crash nor a power failure leaves
    half a file. If the block fails, the draft is removed and the target is unchanged. Missing
    folders are created. Anything but a regular file, such as /dev/stdout, is written directly.

    Args:
        path: The target. A symbolic link is kept, and the file that it points to is replaced.

    Raises:
        OSError: The file cannot be written.
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
    """Replace a file by one with these bytes. See `replacing`."""
    with replacing(path) as file:
        file.write(content)


def write_text(path: str | Path, content: str) -> None:
    """Replace a file by one with this text, in UTF-8. See `replacing`."""
    write_bytes(path, content.encode())


def remove_drafts(folder: str | Path) -> None:
    """Remove the drafts that killed processes have left in a folder.

    Drafts of running processes are locked: they are kept.
    """
    for draft in Path(folder).glob(f".*.*{DRAFT}"):
        with suppress(OSError), open(draft, "r+b") as file:
            if _lock(file):
                draft.unlink()


def is_disk_error(error: BaseException) -> bool:
    """Return whether an error means that the disk is full, broken or read-only."""
    return isinstance(error, OSError) and error.errno in DISK_ERRORS


def _lock(file: BinaryIO) -> bool:
    """Lock an open file until it is closed; return False if that is not possible."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked by another process, or a file system without locks
        return False
    return True


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some systems cannot open or sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
