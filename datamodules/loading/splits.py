"""Which names are for training, validation and testing: each is decided by its own hash."""

import unicodedata
from collections.abc import Collection

from zoo.config.ranges import in_range
from zoo.engine.seeds import key

SPLITS = ("train", "val", "test")


def hash_fraction(name: str, split_seed: int) -> float:
    """Return a number in [0, 1) that depends on a name and the seed alone.

    A letter with an accent counts the same whether a file system stores it as one character or two.
    """
    return key("split", split_seed, unicodedata.normalize("NFC", name)) / 2**63


def assign_splits(
    names: Collection[str], split_seed: int, val_fraction: float, test_fraction: float
) -> dict[str, str]:
    """Assign each name to "train", "val" or "test" by its hash.

    A name below `test_fraction` is for testing, one from 1 - `val_fraction` on for validation. What
    becomes of a name does not depend on the others, so names that are added or removed later do not
    move the rest. The parts are as large as the fractions say on average, not exactly.

    A split whose fraction is not 0 gets at least one name: where no hash is in its range, the
    lowest hash is for testing and the highest for validation. Adding names may then return that one
    name to training; it never moves a name from training to another split.

    Args:
        names: unique names, such as paths relative to a folder.
        split_seed: another seed gives another assignment.
        val_fraction: share for validation, in [0, 1).
        test_fraction: share for testing, in [0, 1).

    Returns:
        {name: split}, in the order of `names`.
    """
    places = {name: hash_fraction(name, split_seed) for name in names}
    splits = {}
    for name, place in places.items():
        held_out = "val" if place >= 1 - val_fraction else "train"
        splits[name] = "test" if place < test_fraction else held_out
    for split, fraction, extreme in (("test", test_fraction, min), ("val", val_fraction, max)):
        if places and fraction and split not in splits.values():
            splits[extreme(places, key=places.get)] = split
    return splits


@in_range
def check_fractions(val_fraction: float, test_fraction: float) -> None:
    """Check that two fractions leave something to train on.

    Raises:
        ValueError: a fraction is outside [0, 1), or their sum is not below 1.
    """
    if val_fraction + test_fraction >= 1:
        raise ValueError(
            f"data.val_fraction={val_fraction} and data.test_fraction={test_fraction} leave "
            "nothing to train on: their sum must be less than 1"
        )
