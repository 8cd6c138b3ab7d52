"""Conditions from the command line: label=, caption=, condition=."""

import sys
from collections.abc import Sequence
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from zoo.config.errors import UserError, unknown
from zoo.engine.batch_checks import fault_of
from zoo.engine.conditions import refused_key, replaced_by_latents, to_model
from zoo.media.text import to_ids, unknown_letters, words_of


def number_of(label: int | str, names: Sequence[str]) -> int:
    """Return the number of a class.

    Args:
        label: Name of the class, or its number. Where names are numbers, 3 means the name "3".
        names: The names of the classes in the order of their labels; empty if they have none.

    Raises:
        UserError: There is no such class.
    """
    if isinstance(label, str) and not names:
        raise UserError(f"label={label}: the classes have no names, only numbers.")
    if str(label) in names:
        return names.index(str(label))
    if isinstance(label, str) or (names and all(name.isdigit() for name in names)):
        raise unknown("class label=", str(label), names)
    return label


def read_conditions(
    model: Any, count: int, label: int | None, caption: str | None, file: str | None
) -> dict[str, Tensor] | None:
    """Build the condition of `model.sample` from the command line.

    Args:
        model: The model.
        count: Number of samples, unless the file holds another number of conditions.
        label: Number of the class of all samples; None for none.
        caption: The text of all samples; None for none.
        file: A safetensors file with a batch of conditions; None for none.

    Returns:
        A batch on the model's device; None where nothing is requested.

    Raises:
        UserError: The file cannot be read, or the model does not accept the conditions.
    """
    if label is None and caption is None and file is None:
        return None
    try:
        conditions = load_file(file) if file else {}
    except (SafetensorError, OSError) as error:
        raise UserError(f"condition={file} is not a safetensors file: {error}") from error
    for name, values in conditions.items():
        if not values.dim() or not len(values):
            raise UserError(
                f"condition: {name} holds no batch: its shape is {tuple(values.shape)}."
            )
    count = len(next(iter(conditions.values()), range(count)))
    if label is not None:
        conditions["label"] = torch.full((count,), label)
    if caption is not None:
        conditions["text"] = to_ids(caption).expand(count, -1)
    check_accepted(model, conditions)
    return to_model(model, conditions)


def warn_of_unknown_words(caption: str, data: Any) -> None:
    """Print what a text-conditional model does not know of a caption.

    Args:
        caption: The caption.
        data: The data of training; None if they cannot be read.
    """
    if letters := unknown_letters(caption):
        print(
            f"caption: the model reads {' '.join(sorted(letters))} as a space: it knows letters "
            "from a to z, digits and punctuation.",
            file=sys.stderr,
        )
    try:
        vocabulary = data.vocabulary() if hasattr(data, "vocabulary") else None
    except (UserError, ValueError, OSError):  # the data are not on this machine
        return
    unknown_words = [word for word in words_of(caption) if word not in (vocabulary or [word])]
    if unknown_words:
        print(
            f"caption: the training captions of {data.name} do not contain "
            f"{', '.join(dict.fromkeys(unknown_words))}: the model has not learned what it means.",
            file=sys.stderr,
        )


def check_accepted(model: Any, conditions: dict[str, Tensor]) -> None:
    """Check that a model accepts conditions, and that they fit each other.

    Raises:
        UserError: A condition is not accepted, missing, out of range, of another length, shape or
            type, or replaced by the latents that are passed.
    """
    if refused := refused_key(model, conditions):
        raise UserError(refused)
    replaced = replaced_by_latents(model, conditions)
    if replaced:
        raise UserError(f"condition: leave out {replaced[0]} or latent, which contains it.")
    completed = [key for key in ("image", "audio") if key in conditions]
    if getattr(model, "likelihood_kind", "") == "exact" and completed and "mask" not in conditions:
        raise UserError(f"condition: {completed[0]} needs a mask, 1 where it is hidden.")
    lengths = {name: len(values) for name, values in conditions.items()}
    if len(set(lengths.values())) > 1:
        raise UserError(f"condition: all must have the same length, not {lengths}.")
    classes = model.hparams.get("classes")
    if "label" in conditions and classes:
        lowest, highest = conditions["label"].aminmax()
        if not 0 <= lowest <= highest < classes:
            raise UserError(
                f"label={highest if lowest >= 0 else lowest}: the model has the classes 0 to "
                f"{classes - 1}."
            )
    for name, values in conditions.items():
        if fault := fault_of(model, name, values, f"condition: {name}"):
            raise UserError(fault)
    if "latent" in conditions:
        check_latent(model, conditions["latent"])


def check_latent(model: Any, latent: Tensor) -> None:
    """Check the shape and the type of latents.

    Raises:
        UserError: They are not floating-point, or not of the size that the model draws.
    """
    with model.evaluating():  # does not change the state of random number generators
        size = model.prior(1).shape[1]
    if not latent.is_floating_point() or latent.dim() != 2 or latent.shape[1] != size:
        kind = str(latent.dtype).removeprefix("torch.")
        raise UserError(
            f"condition: latent must be (N, {size}) float, not {tuple(latent.shape)} {kind}."
        )
