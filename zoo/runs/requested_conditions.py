"""The conditions that a command asks for: label=, caption=, condition=."""

from collections.abc import Sequence

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from zoo.config.errors import UserError, unknown
from zoo.media.text import to_ids


def number_of(label: int | str, names: Sequence[str]) -> int:
    """Find the number of a class.

    Args:
        label: the class's name, or, where the names are not numbers themselves, its number.
        names: of the classes in the order of their labels; none where they are not known.

    Raises:
        UserError: there is no such class.
    """
    if isinstance(label, str) and not names:
        raise UserError(f"label={label}: the classes have no names, only numbers.")
    if str(label) in names:
        return names.index(str(label))
    if isinstance(label, str) or (names and all(name.isdigit() for name in names)):
        raise unknown("class label=", str(label), names)
    return label


def read_conditions(model, count, label, caption, file):
    """The batch of conditions for `sample`, or None; UserError if the model takes none."""
    if label is None and caption is None and file is None:
        return None
    try:
        conditions = load_file(file) if file else {}
    except (SafetensorError, OSError) as error:
        raise UserError(f"condition={file} is no safetensors file: {error}") from error
    count = len(next(iter(conditions.values()), range(count)))
    if label is not None:
        conditions["label"] = torch.full((count,), label)
    if caption is not None:
        conditions["text"] = to_ids(caption).expand(count, -1)
    known = list(model.needs)
    known += ["latent"] if hasattr(model, "prior") else []
    known += ["mask"] if hasattr(model, "elementwise_nll") or hasattr(model, "fill") else []
    check_read(model, conditions, known)
    return {name: values.to(model.device) for name, values in conditions.items()}


def check_read(model, conditions, known):
    """UserError for conditions that a model does not take, or that do not fit each other."""
    unknown = [name for name in conditions if name not in known]
    if unknown:
        raise UserError(
            f"{type(model).__name__} takes no {unknown[0]}: it is trained on "
            f"{', '.join(model.needs)}."
        )
    completed = [key for key in ("image", "audio") if key in conditions]
    if getattr(model, "likelihood_kind", "") == "exact" and completed and "mask" not in conditions:
        raise UserError(f"condition: {completed[0]} needs a mask, 1 where it is to be drawn.")
    lengths = {name: len(values) for name, values in conditions.items()}
    if len(set(lengths.values())) > 1:
        raise UserError(f"condition: as many of each are needed, not {lengths}.")
    classes = model.hparams.get("classes")
    if "label" in conditions and classes:
        lowest, highest = conditions["label"].aminmax()
        if not 0 <= lowest <= highest < classes:
            raise UserError(
                f"label={highest if lowest >= 0 else lowest}: the model has the classes 0 to "
                f"{classes - 1}."
            )
