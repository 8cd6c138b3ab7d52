"""What is given of samples that a model is to complete."""

from torch import Tensor


def check_completion(condition: dict[str, Tensor], key, shape: tuple[int, ...]):
    """ValueError unless a batch has `key`, of a shape (N, ...), in [-1, 1], and a fitting `mask`.

    The mask of images (N, C, H, W) is (N, 1, H, W), that of audio (N, T) is of the same shape.
    """
    if key not in condition:
        raise ValueError(f"A mask needs the {key} of which it hides a part.")
    expected = {key: tuple(shape), "mask": (shape[0], 1, *shape[2:]) if len(shape) == 4 else shape}
    for name, wanted in expected.items():
        if tuple(condition[name].shape) != tuple(wanted):
            found = tuple(condition[name].shape)
            raise ValueError(f"{name} is of shape {found}, but the samples need {tuple(wanted)}.")
    if not (condition[key].abs() <= 1).all():
        raise ValueError(f"{key} must be in [-1, 1], as in a batch.")
