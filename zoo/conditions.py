"""What a model is told of the samples that it is to draw."""

from collections.abc import Sequence

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from datamodules.loader import shuffled
from zoo.engine.batches import WAY_OUT, readable
from zoo.errors import UserError, unknown
from zoo.text import to_ids


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
    chosen = shuffled(len(source), "conditions")[torch.arange(start, start + count) % len(source)]
    return data.prepare_batch(source[chosen], model)


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


def read_conditions(model, count, label, caption, given):
    """The batch of conditions for `sample`, or None; UserError if the model takes none."""
    if label is None and caption is None and given is None:
        return None
    try:
        conditions = load_file(given) if given else {}
    except (SafetensorError, OSError) as error:
        raise UserError(f"given={given} is no safetensors file: {error}") from error
    count = len(next(iter(conditions.values()), range(count)))
    if label is not None:
        conditions["label"] = torch.full((count,), label)
    if caption is not None:
        conditions["text"] = to_ids(caption).expand(count, -1)
    known = list(model.needs)
    known += ["latent"] if hasattr(model, "prior") else []
    known += ["mask"] if hasattr(model, "surprisal") or hasattr(model, "fill") else []
    check_given(model, conditions, known)
    return {name: values.to(model.device) for name, values in conditions.items()}


def check_given(model, conditions, known):
    """UserError for conditions that a model does not take, or that do not fit each other."""
    unknown = [name for name in conditions if name not in known]
    if unknown:
        raise UserError(
            f"{type(model).__name__} takes no {unknown[0]}: it is trained on "
            f"{', '.join(model.needs)}."
        )
    completed = [key for key in ("image", "audio") if key in conditions]
    if getattr(model, "likelihood", "") == "exact" and completed and "mask" not in conditions:
        raise UserError(f"given: {completed[0]} needs a mask, 1 where it is to be drawn.")
    lengths = {name: len(values) for name, values in conditions.items()}
    if len(set(lengths.values())) > 1:
        raise UserError(f"given: as many of each are needed, not {lengths}.")
    classes = model.hparams.get("classes")
    if "label" in conditions and classes:
        lowest, highest = conditions["label"].aminmax()
        if not 0 <= lowest <= highest < classes:
            raise UserError(
                f"label={highest if lowest >= 0 else lowest}: the model has the classes 0 to "
                f"{classes - 1}."
            )
