"""Which files of a folder are the two images of a pair."""

import re
from pathlib import Path, PurePath

from pytorch_lightning.utilities import rank_zero_warn

from datamodules.loading.decoding import read_upright_header
from datamodules.loading.files import SPLIT_NAMES

SIDE = re.compile(rf"(?P<split>(?i:{'|'.join(SPLIT_NAMES)}))?[_-]?(?P<side>[AB])")


def side_of(folder: str) -> tuple[str, str]:
    """Return the side that a folder's name says, A, B or none, and the rest of the name."""
    found = SIDE.fullmatch(folder)
    return (found["side"], found["split"] or "") if found else ("", folder)


def split_of(file: PurePath) -> str:
    """Return the split that one of the folders of a file, relative to the root, names, or train."""
    names = [side_of(folder)[1].lower() for folder in file.parts[:-1]]
    return next((SPLIT_NAMES[name] for name in names if name in SPLIT_NAMES), "train")


def match_pairs(files: list[Path], root: Path) -> dict[Path, Path]:
    """Match the files below folders of A with those below folders of B.

    Returns:
        {file of A: file of B}; {} if there are no such folders.

    Raises:
        ValueError: a file has no partner or several, or lies in neither folder.
    """
    sides = {"A": {}, "B": {}, "": {}}
    for file in files:
        *folders, _ = file.relative_to(root).parts
        parts = [side_of(folder) for folder in folders]
        side = "".join({side for side, _ in parts if side})
        stem = file.stem.removesuffix(f"_{side}") if side else file.stem
        key = (*(rest for _, rest in parts if rest), stem)
        if side not in sides:
            raise ValueError(f"{file} lies in a folder A and in a folder B")
        if key in sides[side]:
            raise ValueError(f"{file} and {sides[side][key].name} have one place in one pair")
        sides[side][key] = file
    if not sides["A"] and not sides["B"]:
        return {}
    alone = [*sides[""].values()]
    alone += [sides[a][key] for a, b in ("AB", "BA") for key in sorted(sides[a].keys() - sides[b])]
    if alone:
        raise ValueError(
            f"{len(alone)} of {len(files)} images in {root.absolute()} have no partner, such as "
            f"{alone[0]}: a pair are two files of one name, in a folder A and a folder B"
        )
    return {file: sides["B"][key] for key, file in sides["A"].items()}


def warn_if_shapes_differ(partners: dict[Path, Path]) -> None:
    """Warn once of pairs whose images differ in aspect ratio: stretching would misalign them."""
    different = []
    for first, second in partners.items():
        (width, height), (other_width, other_height) = (
            read_upright_header(file)[0] for file in (first, second)
        )
        if abs(width * other_height / (other_width * height) - 1) > 0.05:
            different.append(first)
    if different:
        rank_zero_warn(
            f"The two images of {len(different)} of {len(partners)} pairs have other shapes, such "
            f"as those of {different[0]}: each is stretched to a square."
        )


def check_halves(files: list[Path], any_shape: bool) -> None:
    """Check that files can be cut in two images side by side.

    Raises:
        ValueError: a file is not twice as wide as high, or with any_shape, of an odd width.
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
            f"both must {needed}. Two files of one name in folders A and B, or trainA, trainB, "
            "testA and testB, are a pair, too; data.any_shape=true cuts files of other shapes"
        )
