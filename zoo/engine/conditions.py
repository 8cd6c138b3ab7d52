"""Conditions that a model samples under, taken from its data, and checks of them."""

from typing import Any

import torch
from torch import Tensor

from zoo.config.errors import UserError
from zoo.engine.batch_checks import WAY_OUT, zoo_data_module
from zoo.engine.seeds import keyed_permutation


def conditions_of(
    model: Any, data: Any, count: int, start: int = 0, split: str = "test"
) -> dict[str, Tensor] | None:
    """Return a batch of conditions for `model.sample`.

    Args:
        model: The model.
        data: The data module.
        count: Number of conditions.
        start: See `batch_of`.
        split: train, val or test. Without validation samples, val means training samples.

    Returns:
        {name: (count, ...)} for each of `model.conditions`; None if the model needs none.

    Raises:
        UserError: The data have no such samples.
    """
    if not model.conditions:
        return None
    if split == "val" and zoo_data_module(data) is not None and not len(data.source("val")):
        split = "train"
    batch = batch_of(model, data, split, count, start)
    return {name: batch[name] for name in model.conditions}


def batch_of(model: Any, data: Any, split: str, count: int, start: int = 0) -> dict[str, Tensor]:
    """Return a batch of samples of a split, ready for the model, on its device.

    Args:
        model: The model.
        data: The data module.
        split: train, val or test.
        count: Number of samples.
        start: Index of the first sample in a fixed permutation of the split, which is repeated
            when it ends.

    Raises:
        UserError: The data have no such samples.
    """
    names = " and ".join(model.conditions or model.needs)
    if zoo_data_module(data) is None:
        raise UserError(
            f"{type(model).__name__} needs {names} to sample, from a "
            "datamodules.base.DataModule: train on one, or leave out the callbacks that sample "
            f"(samples, metrics, ema). {WAY_OUT}."
        )
    source = data.source(split)
    if not len(source):
        kind = "training" if split == "train" else split
        raise UserError(
            f"{type(model).__name__} needs {names} to sample, but the data have no {kind} samples "
            "to take them from."
        )
    chosen = keyed_permutation(len(source), "conditions")[
        torch.arange(start, start + count) % len(source)
    ]
    return data.prepare_batch(source[chosen], model)


def draw_labels(model: Any, count: int) -> Tensor:
    """Sample labels (count,) of a model's classes, all equally likely."""
    return torch.randint(model.hparams.classes, (count,), device=model.device)


def check_conditions(model: Any, count: int, condition: dict[str, Tensor] | None) -> None:
    """Check the arguments of `model.sample`.

    Args:
        model: The model.
        count: Number of samples.
        condition: Conditions and latents, or None.

    A model whose latents can also come from other conditions, such as labels, names their keys in
    `latent_conditions`, and defines `latents(count, condition)`, which returns such latents.

    Raises:
        ValueError: A key of `model.conditions` is missing, the length of a condition or of the
            latents is not `count`, or latents are passed with a condition that they replace.
    """
    condition = condition or {}
    missing = [name for name in model.conditions if name not in condition]
    if missing:
        names = ", ".join(f'"{name}": ...' for name in missing)
        raise ValueError(f"{type(model).__name__} needs sample(count, {{{names}}})")
    for name, values in condition.items():
        if len(values) != count:
            raise ValueError(
                f'sample({count}, ...): the condition "{name}" has {len(values)} samples.'
            )
    replaced = replaced_by_latents(model, condition)
    if replaced:
        raise ValueError(
            f'{type(model).__name__}: pass sample either "latent" or "{replaced[0]}". The latent '
            f"already contains the {replaced[0]}."
        )


def replaced_by_latents(model: Any, condition: dict[str, Tensor]) -> list[str]:
    """Return the keys of a condition that contradict its latents.

    With a mask, an image is not encoded but completed.
    """
    if "latent" not in condition or "mask" in condition:
        return []
    return [name for name in model.latent_conditions if name in condition]
