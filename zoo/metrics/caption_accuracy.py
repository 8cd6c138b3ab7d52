"""Agreement of samples with their captions, measured with classifiers of real images."""

from typing import Any

import torch
from torch import Tensor

from zoo.metrics.compute import count_name

BATCH = 500  # captions at once


def caption_scores(model: Any, data: Any, split: str) -> dict[str, float]:
    """Measure one sample for each caption of a split.

    Args:
        model: A model conditioned on `text`.
        data: A data module with `read_attributes(images)`, `attributes(split)` and `seen`.
        split: "val" or "test".

    Returns:
        accuracy_all_...: share of samples with all attributes of their caption. accuracy_shape_...
        and others: share with one attribute. real_...: the same for real images. "seen" and
        "held_out" are the captions whose pair of shape and color is in the training set, or not.
        {} for other data or an empty split.
    """
    if not (hasattr(data, "read_attributes") and hasattr(data, "seen")):
        return {}
    source = data.source(split)
    if not len(source):
        return {}
    attributes = data.attributes(split)
    fake, real = [], []
    for places in torch.arange(len(source)).split(BATCH):
        batch = source[places]
        condition = {"text": batch["text"].to(model.device)}
        fake.append(data.denormalize(model.sample(len(places), condition)).cpu())
        real.append(batch["image"])
    numbers, seen = {}, data.seen(attributes)
    for prefix, images in (("", fake), ("real_", real)):
        correct = agreement(data.read_attributes(torch.cat(images)), attributes)
        for part, chosen in (("seen", seen), ("held_out", ~seen)):
            if not chosen.any():
                continue
            protocol = f"{part}_{data.name}_{count_name(int(chosen.sum()))}_{split}"
            for what, each in correct.items():
                share = each[chosen].double().mean().item()
                numbers[f"{prefix}accuracy_{what}_{protocol}"] = share
    return numbers


def agreement(found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return {"all" or attribute: (N,) bool}, true where the attributes are as expected."""
    correct = {what: values == expected[what] for what, values in found.items()}
    return {"all": torch.stack(list(correct.values())).all(dim=0)} | correct
