"""The files below a user's folder, and what its subfolders mean: splits, classes."""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePath

from pytorch_lightning.utilities import rank_zero_warn

# What systems and tools leave in folders, beside everything that begins with a dot.
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
    root: Path, endings: Collection[str], what: str, beside: Collection[str] = ()
) -> list[Path]:
    """Find the files below a folder that have one of the endings.

    Links to folders are followed. Hidden files and folders and what systems leave behind, such as
    `.ipynb_checkpoints`, `._a.jpg` and `__MACOSX`, are passed over. One warning counts what is
    passed over: hidden files with these endings, and files with other endings.

    Args:
        root: the folder.
        endings: in lower case, each with its dot; those of files may be in any case.
        what: what such files are called in messages.
        beside: endings of files that are not counted.

    Returns:
        The files, sorted.

    Raises:
        FileNotFoundError: there is no folder, or no such file in it.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root.absolute()}")
    found, passed_over = [], Counter()
    for file in _walk(root):
        ending = file.suffix.lower()
        hidden = any(map(is_hidden, file.relative_to(root).parts))
        if ending in endings and not hidden:
            found.append(file)
        elif ending in endings:
            passed_over["hidden"] += 1
        elif ending not in beside and not hidden:
            passed_over[ending or "without an ending"] += 1
    counts = ", ".join(f"{count} {ending}" for ending, count in passed_over.most_common(9))
    if not found:
        others = f" ({counts})" if counts else ""
        raise FileNotFoundError(
            f"There is no {what} ({' '.join(endings)}) in {root.absolute()}{others}"
        )
    if passed_over:
        rank_zero_warn(
            f"{root.absolute()}: {passed_over.total()} file(s) are passed over ({counts}), "
            f"{len(found)} are used."
        )
    return sorted(found)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is no one's data."""
    return name.startswith(".") or name.lower() in LEFTOVERS


def _walk(root: Path) -> Iterator[Path]:
    """All files below a folder, through links, but never around in a circle.

    OSError for a folder that cannot be read.
    """

    def refuse(error):
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

    They are if each is called train, val or test, or a longer form of these, in any case.

    Returns:
        {name of a subfolder: "train", "val" or "test"}; {} if the subfolders are classes.

    Raises:
        ValueError: it cannot be told whether they are splits or classes, or none is for training.
    """
    places = {file.relative_to(root).parts[:-1] for file in files}
    tops = sorted({folders[0] for folders in places if folders})
    splits = {name: SPLIT_NAMES[name.lower()] for name in tops if name.lower() in SPLIT_NAMES}
    held_out = [name for name, split in splits.items() if split != "train"]
    others = [f"{name}/" for name in tops if name not in splits]
    others += ["files in no folder"] if () in places else []
    inner = {folders[1].lower() for folders in places if len(folders) > 1 and not splits}
    where = f"{root.absolute()} has"
    if any(SPLIT_NAMES.get(name, "train") != "train" for name in inner):
        raise ValueError(
            f"{where} train, val or test below each class: put the splits above the classes, as in "
            "train/CLASS"
        )
    if held_out and others:
        raise ValueError(
            f"{where} {held_out[0]}/ beside {others[0]}: only splits (train/, val/, test/), or "
            "only classes, may lie in it"
        )
    if len(set(splits.values())) < len(splits):
        raise ValueError(f"{where} {', '.join(splits)}: two of them are one split")
    if held_out and "train" not in splits.values():
        raise ValueError(f"{where} {held_out[0]}/, but no train/: name the folder to train on")
    return splits if not others else {}


def class_folder(file: PurePath, splits: Collection[str]) -> str | None:
    """Return the name of the class folder of a file.

    Args:
        file: relative to the root.
        splits: the names of the split folders.

    Returns:
        Its first folder, or the one below a split folder; None if there is none.
    """
    folders = file.parts[:-1]
    folders = folders[1:] if folders and folders[0] in splits else folders
    return folders[0] if folders else None


def number(names: Collection[str]) -> dict[str, int]:
    """Return {name: label}, the names in natural order: numbers in them count as numbers."""

    def order(name):
        parts = re.split(r"([0-9]+)", name)
        return [int(part) if place % 2 else part for place, part in enumerate(parts)], name

    return {name: label for label, name in enumerate(sorted(names, key=order))}
