"""Measure what the two parts of a code contain, with swaps between images and with probes.

For models with `encoder(images)`, which returns identities (N, S), means (N, Z) and log variances,
and `decoder(identities, latents)`.
"""

import warnings
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from torch import Tensor

from zoo.metrics.cache_key import device_of
from zoo.metrics.compute import count_name
from zoo.metrics.extractors.base import load_extractor, may_classify

MAX_IMAGES = 2000  # images of each split that are encoded


def disentanglement_scores(model: Any, data: Any, split: str) -> dict[str, float]:
    """Measure the codes of a split's images. Call this in `evaluating`.

    Args:
        model: A disentangled model.
        data: The data module.
        split: "val" or "test".

    Returns:
        accuracy_swap_identity_..., accuracy_swap_position_...: images are decoded from the mean of
        z of A and from s of B. This is the share that classifiers of real images assign to the
        identity of B, and to the position of A. accuracy_identity_from_s_...,
        accuracy_position_from_z_...: accuracy of an MLP with 64 hidden units that predicts the
        attribute from the part that should contain it. leak_identity_from_z_...,
        leak_position_from_s_...: its accuracy with the part that should not contain it. Positions
        are measured only if the data have them. {} if data and model have different classes.
    """
    if data.classes != model.hparams.classes or not len(data.source(split)):
        return {}
    train, test = codes(model, data, "train"), codes(model, data, split)
    protocol = f"{data.name}_{count_name(len(test['s']))}_{split}"
    numbers = {
        f"{what}_{protocol}": share for what, share in swap_accuracies(model, data, test).items()
    }
    for what in ("identity", "position"):
        if what not in test:
            continue
        for part, own in (("s", "identity"), ("z", "position")):
            kind = "accuracy" if what == own else "leak"
            share = probe(train[part], train[what], test[part], test[what])
            numbers[f"{kind}_{what}_from_{part}_{protocol}"] = share
    return numbers


def codes(model: Any, data: Any, split: str) -> dict[str, Tensor]:
    """Return s, z (its mean), identity and, if the data have it, position of a split's images."""
    source = data.source(split)
    chosen = torch.arange(min(MAX_IMAGES, len(source)))
    parts = []
    for positions in chosen.split(500):
        batch = data.prepare_batch(source[positions], model)
        parts.append((*model.encoder(batch["image"])[:2], batch["label"].cpu()))
    s, z, identity = map(torch.cat, zip(*parts, strict=True))
    inputs = {"s": s, "z": z, "identity": identity}
    if hasattr(data, "attributes"):
        inputs["position"] = data.attributes(split)["position"][chosen]
    return inputs


def swap_accuracies(model: Any, data: Any, test: dict[str, Tensor]) -> dict[str, float]:
    """Return the shares of swaps with the position of A and the identity of the next image B."""
    condition = test["s"].roll(-1, dims=0)
    images = [
        data.denormalize(model.decoder(s, z)).cpu()
        for s, z in zip(condition.split(500), test["z"].split(500), strict=True)
    ]
    found = classify_attributes(data, torch.cat(images))
    expected = {"identity": test["identity"].roll(-1)}
    if "position" in test:
        expected["position"] = test["position"]
    return {
        f"accuracy_swap_{what}": torch.eq(found[what], expected[what]).double().mean().item()
        for what in found
    }


def classify_attributes(data: Any, images: Tensor) -> dict[str, Tensor]:
    """Return {identity, position: (N,)} of raw images, from classifiers of real images."""
    if hasattr(data, "read_attributes"):
        read = data.read_attributes(images)
        return {"identity": data.identity(read), "position": read["position"]}
    if not may_classify(data.extractor, data.classes):
        return {}
    extractor = load_extractor(data.extractor)
    chances = extractor.classify(extractor(images.to(device_of(extractor))))  # (N, K)
    return {"identity": chances.argmax(dim=1).cpu()} if chances.shape[1] == data.classes else {}


def probe(codes: Tensor, targets: Tensor, test_codes: Tensor, test_targets: Tensor) -> float:
    """Return the accuracy on test codes of an MLP trained on codes.

    Codes are not standardized: parts of z with little variance, which the decoder cannot
    distinguish from noise, would otherwise count as much as the others.
    """
    classifier = MLPClassifier((64,), max_iter=100, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(codes.cpu().double().numpy(), targets.numpy())
    predicted = classifier.predict(test_codes.cpu().double().numpy())
    return (torch.from_numpy(predicted) == test_targets).double().mean().item()
