"""What a model is told of the samples that it is to draw."""

import torch

from zoo.config.errors import UserError
from zoo.engine.batch_checks import WAY_OUT, readable
from zoo.engine.seeds import keyed_permutation


def conditions_of(model, data, count, start=0, split="test"):
    """The batch of `count` conditions that a model must be given, of a split; None if none.

    They are those of a fixed choice, from its number `start` on, over and over. Where no samples
    are held out for "val", training samples take their place. Raises UserError for data without
    such samples.
    """
    if not model.conditions:
        return None
    if split == "val" and readable(data) is not None and not len(data.source("val")):
        split = "train"
    batch = batch_of(model, data, split, count, start)
    return {name: batch[name] for name in model.conditions}


def batch_of(model, data, split: str, count: int, start: int = 0) -> dict[str, torch.Tensor]:
    """A batch of `count` samples of a split as the model takes them, on its device.

    They are those of a fixed permutation, from its number `start` on, over and over.

    Raises:
        UserError: there are no such data.
    """
    if readable(data) is None:
        raise UserError(
            f"{type(model).__name__} must be given {' and '.join(model.conditions)} to sample: "
            "leave out the callbacks that sample (samples, metrics, ema), or train on a "
            f"datamodules.base.DataModule, to take them from. {WAY_OUT}."
        )
    source = data.source(split)
    if not len(source):
        name = "training" if split == "train" else split
        raise UserError(
            f"{type(model).__name__} must be given {' and '.join(model.conditions)} to sample, and "
            f"there are no {name} data to take them from."
        )
    chosen = keyed_permutation(len(source), "conditions")[
        torch.arange(start, start + count) % len(source)
    ]
    return data.prepare_batch(source[chosen], model)


def check_conditions(model, count: int, condition: dict[str, torch.Tensor] | None) -> None:
    """Check the arguments of `model.sample`.

    Raises:
        ValueError: A key of `model.conditions` is missing, or what is given, a condition or
            latents, is not `count` long.
    """
    condition = condition or {}
    missing = [name for name in model.conditions if name not in condition]
    if missing:
        names = ", ".join(f'"{name}": ...' for name in missing)
        raise ValueError(f"{type(model).__name__} needs sample(count, {{{names}}})")
    for name, values in condition.items():
        if len(values) != count:
            raise ValueError(f'sample({count}, ...): "{name}" holds {len(values)}.')
