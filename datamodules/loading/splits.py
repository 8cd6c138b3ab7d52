"""Assign names to the splits train, val and test by their hashes."""

import unicodedata
from collections.abc import Collection

from zoo.config.ranges import in_range
from zoo.engine.seeds import key

SPLITS = ("train", "val", "test")


def hash_fraction(name: str, split_seed: int) -> float:
    """Return a number in [0, 1) that depends only on a name and the seed.

    Unicode is normalized, because file systems store accented letters as one character or two.
    """
    return key("split", split_seed, unicodedata.normalize("NFC", name)) / 2**63


def assign_splits(
    names: Collection[str], split_seed: int, val_fraction: float, test_fraction: float
) -> dict[str, str]:
    """Assign each name to "train", "val" or "test" by its hash.

    A hash below `test_fraction` means test, one of at least 1 - `val_fraction` means val. Names are
    assigned independently, so adding or removing names does not move the others. The splits have
    the sizes of the fractions on average, not exactly.

    A split with a fraction above 0 gets at least one name: if no hash is in its range, test gets
    the lowest hash, and val the highest. Adding names may then return that one name to train; it
    never moves a name from train to another split.

    Args:
        names: Unique names, such as paths relative to a folder.
        split_seed: Seed of the hashes.
        val_fraction: Share for validation, in [0, 1).
        test_fraction: Share for testing, in [0, 1).

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
            splits[extreme(places, key=places.__getitem__)] = split
    return splits


@in_range
def check_fractions(val_fraction: float, test_fraction: float) -> None:
    """Check that two fractions leave something to train on.

    Raises:
        ValueError: A fraction is outside [0, 1), or their sum is not below 1.
    """
    if val_fraction + test_fraction >= 1:
        raise ValueError(
            f"data.val_fraction={val_fraction} and data.test_fraction={test_fraction} leave "
            "no samples for training: their sum must be less than 1"
        )
