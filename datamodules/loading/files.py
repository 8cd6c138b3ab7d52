"""Find the files below a user's folder, and read its subfolders as splits or classes."""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePath

from pytorch_lightning.utilities import rank_zero_warn

# What operating systems and tools leave in folders; names that begin with a dot are ignored, too.
LEFTOVERS = {"__macosx", "@eadir", "$recycle.bin", "system volume information"}
LEFTOVERS |= {"thumbs.db", "desktop.ini"}
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def find_files(
    root: Path, extensions: Collection[str], kind: str, ignored: Collection[str] = ()
) -> list[Path]:
    """Find the files below a folder that have one of the extensions.

    Links to folders are followed. Hidden files and folders and leftovers of systems, such as
    `.ipynb_checkpoints`, `._a.jpg` and `__MACOSX`, are skipped. One warning counts the skipped
    files: hidden files with these extensions, and files with other extensions.

    Args:
        root: The folder.
        extensions: In lower case, each with its dot; those of the files may be in any case.
        kind: What such files are called in messages, such as "image".
        ignored: Extensions of files that are not counted in the warning.

    Returns:
        The files, sorted.

    Raises:
        FileNotFoundError: There is no such folder, or no such file in it.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root.absolute()}.")
    found: list[Path] = []
    skipped: Counter[str] = Counter()
    for file in _walk(root):
        extension = file.suffix.lower()
        hidden = any(map(is_hidden, file.relative_to(root).parts))
        if extension in extensions and not hidden:
            found.append(file)
        elif extension in extensions:
            skipped["hidden"] += 1
        elif extension not in ignored and not hidden:
            skipped[extension or "without an extension"] += 1
    counts = ", ".join(f"{count} {extension}" for extension, count in skipped.most_common(9))
    if not found:
        others = f" ({counts})" if counts else ""
        raise FileNotFoundError(
            f"There is no {kind} ({' '.join(extensions)}) in {root.absolute()}{others}."
        )
    if skipped:
        rank_zero_warn(
            f"{root.absolute()}: {skipped.total()} file(s) are skipped ({counts}), "
            f"{len(found)} are used."
        )
    return sorted(found)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden or a leftover of a system."""
    return name.startswith(".") or name.lower() in LEFTOVERS


def _walk(root: Path) -> Iterator[Path]:
    """Yield all files below a folder; links are followed, except to a folder above.

    Raises:
        OSError: A folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise error

    for folder, folders, names in os.walk(root, followlinks=True, onerror=refuse):
        here = os.path.realpath(folder)
        above = {here, *map(str, Path(here).parents)}
        folders[:] = [
            name for name in folders if os.path.realpath(os.path.join(folder, name)) not in above
        ]
        yield from (Path(folder, name) for name in names)


def find_split_folders(files: Iterable[Path], root: Path) -> dict[str, str]:
    """Find out whether the subfolders of a folder are splits.

    They are splits if each is called train, val or test, or a longer form of these, in any case.

    Args:
        files: The files below the folder.
        root: The folder.

    Returns:
        {name of a subfolder: "train", "val" or "test"}; {} if the subfolders are classes.

    Raises:
        ValueError: Splits and classes are mixed, two folders are the same split, or there is no
            training split.
    """
    places = {file.relative_to(root).parts[:-1] for file in files}
    tops = sorted({folders[0] for folders in places if folders})
    splits = {name: SPLIT_NAMES[name.lower()] for name in tops if name.lower() in SPLIT_NAMES}
    held_out = [name for name, split in splits.items() if split != "train"]
    others = [f"{name}/" for name in tops if name not in splits]
    others += ["files outside folders"] if () in places else []
    inner = {folders[1].lower() for folders in places if len(folders) > 1 and not splits}
    where = f"{root.absolute()} has"
    if any(SPLIT_NAMES.get(name, "train") != "train" for name in inner):
        raise ValueError(
            f"{where} train, val or test below the classes: put the splits above the classes, "
            "as in train/CLASS"
        )
    if held_out and others:
        raise ValueError(
            f"{where} {held_out[0]}/ beside {others[0]}: it must contain only splits (train/, "
            "val/, test/) or only classes"
        )
    if len(set(splits.values())) < len(splits):
        raise ValueError(f"{where} {', '.join(splits)}: two of these are the same split")
    if held_out and "train" not in splits.values():
        raise ValueError(
            f"{where} {held_out[0]}/, but no train/: add a folder train/, or choose a data.root "
            "without splits"
        )
    return splits if not others else {}


def class_folder(file: PurePath, splits: Collection[str]) -> str | None:
    """Return the name of the class folder of a file.

    Args:
        file: Path relative to the root.
        splits: Names of the split folders.

    Returns:
        The first folder of the path, or the one below a split folder; None if there is none.
    """
    folders = file.parts[:-1]
    folders = folders[1:] if folders and folders[0] in splits else folders
    return folders[0] if folders else None


def label_classes(names: Collection[str]) -> dict[str, int]:
    """Return {name: label}, the names in natural order, in which "9" comes before "10"."""

    def natural_order(name: str) -> tuple[list[str | int], str]:
        parts = re.split(r"([0-9]+)", name)
        return [int(part) if place % 2 else part for place, part in enumerate(parts)], name

    return {name: label for label, name in enumerate(sorted(names, key=natural_order))}
