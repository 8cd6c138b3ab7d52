"""Whether the samples of a conditional model are of the classes that were asked for."""

import torch
from sklearn.svm import SVC

from zoo.engine.sampling import CHUNK
from zoo.metrics.cache_key import device_of
from zoo.metrics.compute import count_name
from zoo.metrics.extractors.base import load_extractor


def class_accuracies(model, data, split, count=1000):
    """{what: share} of `count` samples, as many of each class; call it in `evaluating`.

    accuracy_of_samples: those in which the classifier of the data's extractor sees the class that
        was asked for, if that classifier has the classes of the data. A model that draws one image
        for each class passes.
    accuracy_trained_on_samples: the split's images that an SVM (RBF kernel, C = 1, pixels) gets
        right which has seen samples only (Ravuri, Vinyals 2019, arXiv 1905.10887). What a model
        leaves out, it misses.

    Nothing of data that have other classes than the model, and the latter of no split without
    labels.
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


def accuracy_of(images, label, data):
    """{what: share} of uint8 images (N, C, H, W) in which the data's classifier sees the label."""
    extractor = data.extractor and load_extractor(data.extractor)
    if not hasattr(extractor, "classify"):
        return {}
    device = device_of(extractor)
    with torch.no_grad():
        seen = [extractor.classify(extractor(i.to(device))).cpu() for i in images.split(CHUNK)]
    seen = torch.cat(seen)
    if seen.shape[1] != data.classes:  # such as Inception's, which are those of ImageNet
        return {}
    share = (seen.argmax(dim=1) == label).double().mean().item()
    return {f"accuracy_of_samples_{extractor.name}": share}


def accuracy_trained_on(images, label, data, split):
    """{what: share} of a split's labelled images that an SVM trained on uint8 images gets right."""
    classifier = SVC().fit(images.flatten(1).numpy() / 255, label.numpy())
    right = count = 0
    for batch in data.loader(split):
        known = batch["label"] >= 0
        if known.any():
            seen = classifier.predict(batch["image"][known].flatten(1).numpy() / 255)
            right += int((seen == batch["label"][known].numpy()).sum())
            count += len(seen)
    return {"accuracy_trained_on_samples": right / count} if count else {}
