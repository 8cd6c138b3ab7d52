"""Conditions that a model samples under, taken from its data, and checks of them."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.config.errors import UserError, did_you_mean
from zoo.engine.batch_checks import FLOATS, INTEGERS, WAY_OUT, zoo_data_module
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
        ValueError: A key of `model.conditions` is missing, a condition or the latents are no tensor
            of length `count`, labels are not int64 or out of range, or latents are passed with a
            condition that they replace.
    """
    if condition is not None and not isinstance(condition, Mapping):
        raise ValueError(
            f"sample(count, condition): condition must be a dict of tensors, such as "
            f'{{"label": labels}}, not {_described(condition)}.'
        )
    condition = condition or {}
    missing = [name for name in model.conditions if name not in condition]
    if missing:
        names = ", ".join(f'"{name}": ...' for name in missing)
        raise ValueError(f"{type(model).__name__} needs sample(count, {{{names}}})")
    for name, values in condition.items():
        if name in (*model.conditions, *model.needs, "latent"):
            _check_condition(model, count, name, values)
        if values.shape[0] != count:
            raise ValueError(
                f'sample({count}, ...): the condition "{name}" has {len(values)} samples.'
            )
    replaced = replaced_by_latents(model, condition)
    if replaced:
        raise ValueError(
            f'{type(model).__name__}: pass sample either "latent" or "{replaced[0]}". The latent '
            f"already contains the {replaced[0]}."
        )


def refused_key(model: Any, condition: Iterable[str]) -> str:
    """Return why a model refuses a condition of the user's; "" if it accepts all of them.

    Training steps pass whole batches, so `check_conditions` accepts any key.

    Args:
        model: The model.
        condition: The keys.
    """
    accepted = [*model.needs, *(name for name in model.conditions if name not in model.needs)]
    accepted += ["latent"] if hasattr(model, "prior") else []
    accepted += ["mask"] if hasattr(model, "elementwise_nll") or hasattr(model, "fill") else []
    others = [name for name in condition if name not in accepted]
    if not others:
        return ""
    way_out = f"Leave {others[0]} out, or use a model trained with it."
    if others[0] not in (*FLOATS, *INTEGERS):  # else it is a key of batches, and no misspelling
        way_out = did_you_mean(str(others[0]), accepted) or way_out
    return (
        f"{type(model).__name__} does not accept {others[0]}: it accepts {', '.join(accepted)}. "
        f"{way_out}"
    )


def to_model(model: Any, condition: dict[str, Tensor]) -> dict[str, Tensor]:
    """Move a condition to the model's device, and its floating-point tensors to its dtype."""
    return {
        name: values.to(model.device, model.dtype if values.is_floating_point() else values.dtype)
        for name, values in condition.items()
    }


def replaced_by_latents(model: Any, condition: dict[str, Tensor]) -> list[str]:
    """Return the keys of a condition that contradict its latents.

    With a mask, an image is not encoded but completed.
    """
    if "latent" not in condition or "mask" in condition:
        return []
    return [name for name in model.latent_conditions if name in condition]


def _check_condition(model: Any, count: int, name: str, values: Any) -> None:
    """Check the type of a condition, and the range of labels outside training.

    Raises:
        ValueError: It is no tensor with a first dimension, or labels do not fit the model.
    """
    where = f'sample({count}, ...): the condition "{name}"'
    if not isinstance(values, Tensor) or not values.dim():
        example = f", such as torch.tensor([3] * {count})" if name == "label" else ""
        raise ValueError(
            f"{where} must be a tensor with one entry per sample{example}, not "
            f"{_described(values)}."
        )
    if name != "label" or "labeled_image" in model.needs:  # unlabeled images have the label -1
        return
    if values.dim() != 1 or values.dtype != torch.int64:
        raise ValueError(f"{where} must be (N,) int64, not {_described(values)}.")
    classes = model.hparams.get("classes")
    # Not in training, where it would wait for the device in each step, nor in an exported graph.
    if classes and not model.training and not torch.compiler.is_compiling() and len(values):
        low, high = (value.item() for value in values.aminmax())
        if not 0 <= low <= high < classes:
            raise ValueError(
                f"{where} holds {low if low < 0 else high}: the model has the classes 0 to "
                f"{classes - 1}."
            )


def _described(values: Any) -> str:
    """Return the shape and type of a tensor, or the value of anything else."""
    if not isinstance(values, Tensor):
        return f"{values!r}"[:80]
    return f"a tensor {tuple(values.shape)} {str(values.dtype).removeprefix('torch.')}"
