"""The folder of a run: made by that run alone, so that no two runs share one."""

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from zoo.atomic_files import replacing, write_text
from zoo.config.errors import UserError

SETTINGS = "config.yaml"  # its exclusive creation claims a folder


@dataclass
class RunFolder:
    """A run's folder, and what was made for it before training: only that can be withdrawn.

    Args:
        path: the folder.
        made: the folders that did not exist before, outermost first.
        written: files that were written, relative to the folder.
    """

    path: Path
    made: list[Path] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def write(self, name: str, content: str) -> None:
        """Write a text file."""
        self.written.append(name)
        write_text(self.path / name, content)

    def copy(self, checkpoint: Path) -> None:
        """Copy a checkpoint of an earlier run."""
        self.made.append(self.path / "checkpoints")
        self.made[-1].mkdir()
        self.written.append(f"checkpoints/{checkpoint.name}")
        with open(checkpoint, "rb") as old, replacing(self.path / self.written[-1]) as new:
            shutil.copyfileobj(old, new)

    def withdraw(self) -> None:
        """Remove the files that were written, then the folders that were made if they are empty."""
        for name in self.written:
            with suppress(OSError):
                (self.path / name).unlink()
        for folder in reversed(self.made):
            with suppress(OSError):
                folder.rmdir()
        self.written, self.made = [], []


def claim(chosen: str | None, parent: Path, settings: str) -> RunFolder:
    """Make the folder of a run, which no other run can have.

    Args:
        chosen: the path that the user chose, of a folder that is new or empty; None takes the next
            free name of this second in `parent`.
        parent: where a folder without a chosen path lies.
        settings: the content of config.yaml.

    Raises:
        UserError: the chosen folder is not empty, or another run takes it at the same time.
        OSError: the folder cannot be made.
    """
    folder = RunFolder(Path(chosen or parent))
    try:
        _make(folder)
        if not chosen:
            _take_next(folder)
        elif any(folder.path.iterdir()):
            raise _not_empty(folder.path)
        try:
            with open(folder.path / SETTINGS, "x") as file:
                # All but the first by the CSV log, later: the floors are measured before batches.
                folder.written += [SETTINGS, "hparams.yaml", "metrics.csv"]
                file.write(settings)
        except FileExistsError:
            raise _not_empty(folder.path) from None
    except BaseException:
        folder.withdraw()
        raise
    return folder


def _make(folder):
    """Makes the folder and those above it, and remembers which did not exist."""
    for path in (*reversed(folder.path.parents), folder.path):
        try:
            path.mkdir()
        except FileExistsError:
            if not path.is_dir():
                raise NotADirectoryError(f"folder={folder.path}: Not a directory: {path}") from None
        else:
            folder.made.append(path)


def _take_next(folder):
    """Makes a folder named by date and time, with _1, _2 ... if others were made in this second."""
    parent, number = folder.path, 0
    name = f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    while True:
        folder.path = parent / (f"{name}_{number}" if number else name)
        try:
            folder.path.mkdir()
        except FileExistsError:
            number += 1
        else:
            folder.made.append(folder.path)
            return


def _not_empty(path):
    if (path / SETTINGS).exists() or (path / "checkpoints").exists():
        return UserError(f"folder={path} holds a run: take another, or resume={path}.")
    return UserError(f"folder={path} is not empty: a run needs a folder of its own.")
