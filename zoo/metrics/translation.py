"""Quality of translated test images, measured with a segmentation network and with pixels."""

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from zoo.media.images import from_uint8, to_uint8
from zoo.metrics.compute import count_name
from zoo.metrics.segmenter import Segmenter, segmentation_scores, train_segmenter

MAX_IMAGES = 200
SEGMENTERS: WeakKeyDictionary = WeakKeyDictionary()  # {data module: segmenter}
BATCH = 20  # images at once; affects models that use batch statistics


def translation_scores(model: Any, data: Any, split: str) -> dict[str, float]:
    """Measure translations of a split's sources. Call this in `evaluating`.

    Args:
        model: A model that translates `source`.
        data: The data module.
        split: "val" or "test"; at most MAX_IMAGES of its images are used.

    Returns:
        iou, accuracy_pixel, accuracy_class: if the sources are label maps (`data.classes_of`),
        agreement of the source's classes with those that a segmenter of real images finds in the
        translation. real_...: the same for the real image. l1_error: mean absolute difference
        between translation and real image, in [-1, 1]. std_ratio: mean standard deviation of a
        translation's pixels, divided by that of real images; below 1 for blurred images. {} for an
        empty split.
    """
    source = data.source(split)
    if not len(source):
        return {}
    batches = torch.arange(min(MAX_IMAGES, len(source))).split(BATCH)
    found = []
    for chosen in batches:
        batch = data.prepare_batch(source[chosen], model)
        fake = model.sample(len(chosen), batch)
        found.append((fake.cpu(), batch["image"].cpu(), batch["source"].cpu()))
    fake, real, sources = (torch.cat(parts) for parts in zip(*found, strict=True))
    numbers: dict[str, float] = {}
    if hasattr(data, "classes_of"):
        numbers |= segmenter_scores(data, data.denormalize(fake), sources, "")
        numbers |= segmenter_scores(data, data.denormalize(real), sources, "real_")
    numbers |= differences(to_uint8(fake), to_uint8(real))
    protocol = f"{data.name}_{count_name(len(real))}_{split}"
    return {f"{what}_{protocol}": value for what, value in numbers.items()}


def segmenter_scores(data: Any, images: Tensor, sources: Tensor, prefix: str) -> dict[str, float]:
    """Return the scores of uint8 images against the classes in their sources."""
    found = segmenter_of(data)(images).argmax(dim=1)  # (N, H, W)
    scores = segmentation_scores(found, data.classes_of(sources), len(data.regions))
    return {f"{prefix}{what}": share for what, share in scores.items()}


def segmenter_of(data: Any) -> Segmenter:
    """Return a segmenter of the data's training images, trained at the first call."""
    if data not in SEGMENTERS:
        source = data.source("train")
        batch = source[torch.arange(len(source))]
        classes = data.classes_of(batch["source"])
        SEGMENTERS[data] = train_segmenter(batch["image"], classes, len(data.regions))
    return SEGMENTERS[data]


def differences(fake: Tensor, real: Tensor) -> dict[str, float]:
    """Return l1_error and std_ratio of uint8 images (N, C, H, W)."""
    fake, real = (from_uint8(images, torch.float64) for images in (fake, real))
    spread = fake.flatten(1).std(dim=1).mean() / real.flatten(1).std(dim=1).mean()
    return {"l1_error": (fake - real).abs().mean().item(), "std_ratio": spread.item()}
