"""Match the files of a folder to pairs of images."""

import re
from pathlib import Path, PurePath

from pytorch_lightning.utilities import rank_zero_warn

from datamodules.loading.decoding import read_upright_header
from datamodules.loading.files import SPLIT_NAMES

SIDE = re.compile(rf"(?P<split>(?i:{'|'.join(SPLIT_NAMES)}))?[_-]?(?P<side>[AB])")


def side_of(folder: str) -> tuple[str, str]:
    """Return the side in a folder's name, "A", "B" or "", and the rest of the name."""
    found = SIDE.fullmatch(folder)
    return (found["side"], found["split"] or "") if found else ("", folder)


def split_of(file: PurePath) -> str:
    """Return the split that a folder in a file's relative path names; "train" if none does."""
    names = [side_of(folder)[1].lower() for folder in file.parts[:-1]]
    return next((SPLIT_NAMES[name] for name in names if name in SPLIT_NAMES), "train")


def match_pairs(files: list[Path], root: Path) -> dict[Path, Path]:
    """Match the files below folders of A with the files below folders of B.

    Args:
        files: The files below the folder.
        root: The folder.

    Returns:
        {file of A: file of B}; {} if there are no such folders.

    Raises:
        ValueError: A file has no partner or several, or is in neither folder.
    """
    sides: dict[str, dict[tuple[str, ...], Path]] = {"A": {}, "B": {}, "": {}}
    for file in files:
        *folders, _ = file.relative_to(root).parts
        parts = [side_of(folder) for folder in folders]
        side = "".join({side for side, _ in parts if side})
        stem = file.stem.removesuffix(f"_{side}") if side else file.stem
        key = (*(rest for _, rest in parts if rest), stem)
        if side not in sides:
            raise ValueError(
                f"{file} is in a folder A and in a folder B: it must be in one of them"
            )
        if key in sides[side]:
            raise ValueError(
                f"{file} and {sides[side][key].name} are the same side of the same pair: rename one"
            )
        sides[side][key] = file
    if not sides["A"] and not sides["B"]:
        return {}
    alone = [*sides[""].values()]
    alone += [sides[a][key] for a, b in ("AB", "BA") for key in sorted(sides[a].keys() - sides[b])]
    if alone:
        raise ValueError(
            f"{len(alone)} of {len(files)} images in {root.absolute()} have no partner, such as "
            f"{alone[0]}: a pair is two files of the same name, in a folder A and a folder B"
        )
    return {file: sides["B"][key] for key, file in sides["A"].items()}


def warn_if_shapes_differ(partners: dict[Path, Path]) -> None:
    """Warn once about pairs whose images differ in aspect ratio: stretching misaligns them."""
    different = []
    for first, second in partners.items():
        (width, height), (other_width, other_height) = (
            read_upright_header(file)[0] for file in (first, second)
        )
        if abs(width * other_height / (other_width * height) - 1) > 0.05:
            different.append(first)
    if different:
        rank_zero_warn(
            f"In {len(different)} of {len(partners)} pairs, such as {different[0]}, the two images "
            "have different shapes: each is stretched to a square."
        )


def check_halves(files: list[Path], any_shape: bool) -> None:
    """Check that each file can be cut into two images side by side.

    Args:
        files: Image files.
        any_shape: Allow any even width.

    Raises:
        ValueError: A file is not twice as wide as high or, with any_shape, has an odd width.
    """
    sizes = {file: read_upright_header(file)[0] for file in files}
    odd = [
        file
        for file, (width, height) in sizes.items()
        if (width % 2 if any_shape else width != 2 * height)
    ]
    if odd:
        needed = "have an even width" if any_shape else "be twice as wide as high"
        raise ValueError(
            f"{len(odd)} of {len(files)} images, such as {odd[0].absolute()} of "
            f"{'x'.join(map(str, sizes[odd[0]]))}, cannot be cut into A and B: a file that holds "
            f"both must {needed}. Or put two files of the same name into folders A and B (or "
            "trainA, trainB, testA, testB); data.any_shape=true cuts files of other shapes"
        )
