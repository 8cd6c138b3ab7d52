"""What translations of test sources are worth: by a segmenter of real images, and by pixels."""

from weakref import WeakKeyDictionary

import torch

from zoo.media.images import from_uint8, to_uint8
from zoo.metrics.compute import count_name
from zoo.metrics.segmenter import Segmenter, segmentation_scores, trained

MOST = 200  # images
SEGMENTERS: WeakKeyDictionary = WeakKeyDictionary()  # of data modules
BATCH = 20  # of them at once: it matters to a model with statistics of the batch


def translation_scores(model, data, split):
    """{name: number} of up to MOST images of a split; {} of none. Call it in `evaluating`.

    iou, accuracy_pixel, accuracy_class: where the sources are label maps (`data.classes_of`),
        whether a segmenter of real images sees in a translation what its source says; real_...: in
        the real image.
    l1_error: the mean absolute difference of translation and real image, in [-1, 1].
    std_ratio: the mean standard deviation of the pixels of a translation over that of a real one;
        blur is less than 1.
    """
    source = data.source(split)
    if not len(source):
        return {}
    batches = torch.arange(min(MOST, len(source))).split(BATCH)
    fake, real, sources = [], [], []
    for chosen in batches:
        batch = data.prepare_batch(source[chosen], model)
        fake.append(model.sample(len(chosen), batch).cpu())
        real.append(batch["image"].cpu())
        sources.append(batch["source"].cpu())
    fake, real, sources = map(torch.cat, (fake, real, sources))
    numbers = {}
    if hasattr(data, "classes_of"):
        numbers |= seen(data, data.denormalize(fake), sources, "")
        numbers |= seen(data, data.denormalize(real), sources, "real_")
    numbers |= differences(to_uint8(fake), to_uint8(real))
    protocol = f"{data.name}_{count_name(len(real))}_{split}"
    return {f"{what}_{protocol}": value for what, value in numbers.items()}


def seen(data, images, sources, prefix):
    """The scores of uint8 images whose pixels should be of the classes that their sources say."""
    found = segmenter_of(data)(images).argmax(dim=1)  # (N, H, W)
    scores = segmentation_scores(found, data.classes_of(sources), len(data.regions))
    return {f"{prefix}{what}": share for what, share in scores.items()}


def segmenter_of(data) -> Segmenter:
    """A segmenter of the training images of the data, trained at the first call."""
    if data not in SEGMENTERS:
        source = data.source("train")
        batch = source[torch.arange(len(source))]
        classes = data.classes_of(batch["source"])
        SEGMENTERS[data] = trained(batch["image"], classes, len(data.regions))
    return SEGMENTERS[data]


def differences(fake, real):
    """{what: number} of uint8 images (N, C, H, W) and the real ones."""
    fake, real = (from_uint8(images, torch.float64) for images in (fake, real))
    spread = fake.flatten(1).std(dim=1).mean() / real.flatten(1).std(dim=1).mean()
    return {"l1_error": (fake - real).abs().mean().item(), "std_ratio": spread.item()}
