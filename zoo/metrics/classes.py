"""Whether the samples of a conditional model are of the classes that were asked for."""

import torch
from sklearn.svm import SVC

from zoo.drawing import draw
from zoo.images import to_uint8
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.features import device_of
from zoo.metrics.measure import size


def class_accuracies(model, data, count=1000, seed=0):
    """{what: share} of `count` samples, as many of each class; call it in `evaluating`.

    accuracy_of_samples: those in which the classifier of the data's extractor sees the class that
        was asked for, {} where it has none. A model that draws one image for each class passes.
    accuracy_trained_on_samples: test images that an SVM (RBF kernel, C = 1, pixels) gets right
        which has seen samples only (Ravuri, Vinyals 2019, arXiv 1905.10887). What a model leaves
        out, it misses.
    """
    extractor = load_extractor(data.extractor).to(model.device)
    if not hasattr(extractor, "classify"):
        return {}
    label = torch.arange(count, device=model.device) % data.classes
    samples = to_uint8(torch.cat(list(draw(model, count, seed, {"label": label}))))
    seen = extractor.classify(extractor(samples.to(device_of(extractor)))).argmax(dim=1)
    return {
        f"accuracy_of_samples_{extractor.name}_{size(count)}": (seen == label)
        .double()
        .mean()
        .item(),
        f"accuracy_trained_on_samples_{size(count)}": trained_on(samples.cpu(), label.cpu(), data),
    }


def trained_on(images, labels, data):
    """The share of the test images that an SVM trained on uint8 images (N, C, H, W) gets right."""
    classifier = SVC().fit(images.flatten(1).numpy() / 255, labels.numpy())
    right = count = 0
    for batch in data.loader("test"):
        pixels = batch["image"].flatten(1).numpy() / 255
        right += int((classifier.predict(pixels) == batch["label"].numpy()).sum())
        count += len(pixels)
    return right / count
