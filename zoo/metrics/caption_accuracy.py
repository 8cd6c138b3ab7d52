"""Whether samples show what their captions say, by readers of real images."""

import torch

from zoo.metrics.compute import count_name

BATCH = 500  # captions at once


def caption_scores(model, data, split):
    """{name: number} of a split's captions, of data that can `read_attributes`; {} of other data.

    accuracy_all, accuracy_shape, ...: the share of samples, one for each caption, of which
        `read_attributes` says what the caption says, in all attributes or in one; real_...: of the
        real images.
    seen, held_out: of captions whose pair of shape and colour is in training, or is not.
    """
    if not (hasattr(data, "read_attributes") and hasattr(data, "seen")):
        return {}
    source = data.source(split)
    if not len(source):
        return {}
    said = data.attributes(split)
    fake, real = [], []
    for places in torch.arange(len(source)).split(BATCH):
        batch = source[places]
        condition = {"text": batch["text"].to(model.device)}
        fake.append(data.denormalize(model.sample(len(places), condition)).cpu())
        real.append(batch["image"])
    numbers, seen = {}, data.seen(said)
    for prefix, images in (("", fake), ("real_", real)):
        right = agreement(data.read_attributes(torch.cat(images)), said)
        for part, chosen in (("seen", seen), ("held_out", ~seen)):
            if not chosen.any():
                continue
            protocol = f"{part}_{data.name}_{count_name(int(chosen.sum()))}_{split}"
            for what, each in right.items():
                share = each[chosen].double().mean().item()
                numbers[f"{prefix}accuracy_{what}_{protocol}"] = share
    return numbers


def agreement(read, said):
    """{what: (N,) bool}: whether what was read is what was said, in all attributes and in each."""
    right = {what: values == said[what] for what, values in read.items()}
    return {"all": torch.stack(list(right.values())).all(dim=0)} | right
