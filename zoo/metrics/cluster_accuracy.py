"""Agreement of clusters, found without labels, with the classes."""

from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from zoo.engine.loader import KeyedLoader, Subset
from zoo.engine.seeds import keyed_permutation

MAX_FITTED_IMAGES = 10_000  # training images used to assign categories to classes


def category_accuracies(model: Any, data: Any, split: str) -> dict[str, float]:
    """Measure how well the categories of an InfoGAN agree with the classes.

    Args:
        model: The InfoGAN, in `evaluating`.
        data: The data module.
        split: "val" or "test".

    Returns:
        See `cluster_accuracies`. With several categorical codes, there are numbers for each of
        them, with `code1`, `code2` ... in the name. {} without classes or images.
    """
    train, held_out = data.source("train"), data.source(split)
    if not data.classes or not len(held_out):
        return {}
    chosen = keyed_permutation(len(train), "clusters")[:MAX_FITTED_IMAGES].sort().values
    fitted, fitted_labels = predict_categories(model, Subset(train, chosen), data)
    tested, tested_labels = predict_categories(model, held_out, data)
    numbers: dict[str, float] = {}
    for code in range(fitted.shape[1]):
        pairs = (fitted[:, code], fitted_labels), (tested[:, code], tested_labels)
        shares = cluster_accuracies(*pairs, model.hparams.categories, data.classes)
        part = f"_code{code + 1}" if fitted.shape[1] > 1 else ""
        numbers |= {f"{name}{part}_{split}": share for name, share in shares.items()}
    return numbers


def predict_categories(model: Any, source: Any, data: Any) -> tuple[Tensor, Tensor]:
    """Return argmax Q(c|x) (N, M) and the labels (N,) of a source's images."""
    categories, labels = [], []
    for batch in KeyedLoader(source, 500):
        images = data.prepare_batch(batch, model)["image"]
        logits, _ = model.recognize(model.discriminator(images)[1])  # (n, M, K)
        categories.append(logits.argmax(dim=2).cpu())
        labels.append(batch["label"])
    return torch.cat(categories), torch.cat(labels)


def cluster_accuracies(
    fitted: tuple[Tensor, Tensor], tested: tuple[Tensor, Tensor], clusters: int, classes: int
) -> dict[str, float]:
    """Measure the share of test images whose cluster is assigned to their class.

    The assignment of classes to clusters is computed on training images.

    Args:
        fitted: (cluster (N,), label (N,)) int64 of training images; a label of -1 is unlabeled.
        tested: The same for test images.
        clusters: Number of clusters.
        classes: Number of classes.

    Returns:
        accuracy_of_clusters: each cluster is assigned to a different class, with the largest number
        of correct images (Hungarian method). accuracy_purity_of_clusters: each cluster is assigned
        to its most frequent class. {} without labels.
    """
    counts = contingency(*fitted, clusters, classes)
    cluster, label = (values.cpu() for values in tested)
    labeled = label >= 0
    if not counts.any() or not labeled.any():
        return {}
    rows, columns = linear_sum_assignment(counts.numpy(), maximize=True)
    matched = torch.full((clusters,), -1)
    matched[torch.from_numpy(rows)] = torch.from_numpy(columns)
    stands_for = {
        "accuracy_of_clusters": matched,
        "accuracy_purity_of_clusters": counts.argmax(dim=1),
    }
    return {
        name: (classes_of[cluster] == label)[labeled].double().mean().item()
        for name, classes_of in stands_for.items()
    }


def contingency(cluster: Tensor, label: Tensor, clusters: int, classes: int) -> Tensor:
    """Return the number of images per cluster and class, (clusters, classes) int64."""
    cluster, label = cluster.cpu(), label.cpu()
    pairs = (cluster * classes + label)[label >= 0]
    return pairs.bincount(minlength=clusters * classes).view(clusters, classes)
