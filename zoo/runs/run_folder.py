"""The folder of a run, created exclusively, so that no two runs share one."""

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from zoo.atomic_files import replacing, write_text
from zoo.config.errors import UserError

SETTINGS = "config.yaml"  # the process that creates it owns the folder


@dataclass
class RunFolder:
    """A run's folder, and what the run created before training, which `withdraw` removes.

    Args:
        path: The folder.
        created: The folders that did not exist before, outermost first.
        written: The files that were written, relative to the folder.
    """

    path: Path
    created: list[Path] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def write(self, name: str, content: str) -> None:
        """Write a text file."""
        self.written.append(name)
        write_text(self.path / name, content)

    def copy(self, checkpoint: Path) -> None:
        """Copy a checkpoint of an earlier run."""
        self.created.append(self.path / "checkpoints")
        self.created[-1].mkdir()
        self.written.append(f"checkpoints/{checkpoint.name}")
        with open(checkpoint, "rb") as old, replacing(self.path / self.written[-1]) as new:
            shutil.copyfileobj(old, new)

    def withdraw(self) -> None:
        """Remove the files that were written, then the created folders that are empty."""
        for name in self.written:
            with suppress(OSError):
                (self.path / name).unlink()
        for folder in reversed(self.created):
            with suppress(OSError):
                folder.rmdir()
        self.written, self.created = [], []


def claim(chosen: str | None, parent: Path, settings: str) -> RunFolder:
    """Create the folder of a run, which no other run can use.

    Args:
        chosen: The folder that the user chose, which must be new or empty; None for a new folder
            in `parent`, named by date and time.
        parent: Where folders are created that the user does not choose.
        settings: The content of config.yaml.

    Raises:
        UserError: The chosen folder is not empty, or another run claims it at the same time.
        OSError: The folder cannot be created.
    """
    folder = RunFolder(Path(chosen or parent))
    try:
        _create(folder)
        if not chosen:
            _create_next(folder)
        elif any(folder.path.iterdir()):
            raise _not_empty(folder.path)
        try:
            with open(folder.path / SETTINGS, "x") as file:
                # The CSV log writes the others, possibly before the first batch.
                folder.written += [SETTINGS, "hparams.yaml", "metrics.csv"]
                file.write(settings)
        except FileExistsError:
            raise _not_empty(folder.path) from None
    except BaseException:
        folder.withdraw()
        raise
    return folder


def _create(folder: RunFolder) -> None:
    """Create the folder and its parents, and record which did not exist."""
    for path in (*reversed(folder.path.parents), folder.path):
        try:
            path.mkdir()
        except FileExistsError:
            if not path.is_dir():
                raise NotADirectoryError(f"folder={folder.path}: Not a directory: {path}") from None
        else:
            folder.created.append(path)


def _create_next(folder: RunFolder) -> None:
    """Create a folder named by date and time, with _1, _2, ... where the name is taken."""
    parent, number = folder.path, 0
    name = f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    while True:
        folder.path = parent / (f"{name}_{number}" if number else name)
        try:
            folder.path.mkdir()
        except FileExistsError:
            number += 1
        else:
            folder.created.append(folder.path)
            return


def _not_empty(path: Path) -> UserError:
    if (path / SETTINGS).exists() or (path / "checkpoints").exists():
        return UserError(f"folder={path} holds a run: take another, or resume={path}.")
    return UserError(f"folder={path} is not empty: a run needs a folder of its own.")
