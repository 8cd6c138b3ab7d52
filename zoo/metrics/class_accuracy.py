"""Agreement of a conditional model's samples with the classes they are conditioned on."""

from typing import Any

import torch
from torch import Tensor

from zoo.engine.sampling import CHUNK
from zoo.metrics.cache_key import device_of
from zoo.metrics.compute import count_name
from zoo.metrics.extractors.base import load_extractor, may_classify


def class_accuracies(model: Any, data: Any, split: str, count: int = 1000) -> dict[str, float]:
    """Measure `count` samples, the same number of each class. Call this in `evaluating`.

    Args:
        model: A model conditioned on labels.
        data: The data module.
        split: "val" or "test".
        count: Number of samples.

    Returns:
        accuracy_of_samples: share of samples that the classifier of the data's extractor assigns to
        their class. It is missing if that classifier has other classes. It does not measure
        diversity: one correct image per class is enough. accuracy_trained_on_samples: accuracy on
        the split of an SVM (RBF kernel, C = 1, on pixels) that is trained only on samples (Ravuri,
        Vinyals 2019, arXiv 1905.10887). It also measures diversity. {} if data and model have
        different classes.
    """
    if data.classes != model.hparams.classes:
        return {}
    label = torch.arange(count, device=model.device) % data.classes
    samples = [
        data.denormalize(model.sample(len(y), {"label": y})).cpu() for y in label.split(CHUNK)
    ]
    images, label = torch.cat(samples), label.cpu()
    of_samples = accuracy_of(images, label, data)
    trained_on = accuracy_trained_on(images, label, data, split)
    numbers = {f"{what}_{count_name(count)}": share for what, share in of_samples.items()}
    return numbers | {
        f"{what}_{count_name(count)}_{split}": share for what, share in trained_on.items()
    }


def accuracy_of(images: Tensor, label: Tensor, data: Any) -> dict[str, float]:
    """Return the accuracy of the extractor's classifier on uint8 images (N, C, H, W)."""
    if not may_classify(data.extractor, data.classes):  # such as Inception, of ImageNet's classes
        return {}
    extractor = load_extractor(data.extractor)
    device = device_of(extractor)
    right = 0
    for part, asked in zip(images.split(CHUNK), label.split(CHUNK), strict=True):
        with torch.no_grad():
            probabilities = extractor.classify(extractor(part.to(device))).cpu()  # (N, K)
        if probabilities.shape[1] != data.classes:  # of an extractor that does not name its number
            return {}
        right += (probabilities.argmax(dim=1) == asked).sum().item()
    return {f"accuracy_of_samples_{extractor.name}": right / len(label)}


def accuracy_trained_on(images: Tensor, label: Tensor, data: Any, split: str) -> dict[str, float]:
    """Train an SVM on uint8 images, and return its accuracy on the labeled images of a split."""
    from sklearn.svm import SVC  # slow to import; samples do not need it

    classifier = SVC().fit(images.flatten(1).numpy() / 255, label.numpy())
    right = count = 0
    for batch in data.loader(split):
        labeled = batch["label"] >= 0
        if labeled.any():
            predicted = classifier.predict(batch["image"][labeled].flatten(1).numpy() / 255)
            right += int((predicted == batch["label"][labeled].numpy()).sum())
            count += len(predicted)
    return {"accuracy_trained_on_samples": right / count} if count else {}
