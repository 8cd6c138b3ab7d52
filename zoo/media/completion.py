"""Checks of samples that a model is to complete."""

from torch import Tensor


def check_completion(condition: dict[str, Tensor], key: str, shape: tuple[int, ...]) -> None:
    """Check that a batch holds samples in [-1, 1] and a mask of what to complete.

    Args:
        condition: The batch, with `key` and `mask`.
        key: "image" or "audio".
        shape: That of the samples, (N, C, H, W) or (N, T). The mask of images is (N, 1, H, W),
            that of audio (N, T).

    Raises:
        ValueError: A key is missing, or a shape or the range is wrong.
    """
    if key not in condition:
        raise ValueError(f"A mask needs {key}, whose hidden part is completed.")
    expected = {key: tuple(shape), "mask": (shape[0], 1, *shape[2:]) if len(shape) == 4 else shape}
    for name, wanted in expected.items():
        if tuple(condition[name].shape) != tuple(wanted):
            found = tuple(condition[name].shape)
            raise ValueError(f"{name} has shape {found}, but the samples need {tuple(wanted)}.")
    if not (condition[key].abs() <= 1).all():
        raise ValueError(f"{key} must be in [-1, 1], as in a batch.")
