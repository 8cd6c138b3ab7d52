"""How well clusters found without labels agree with the classes."""

import torch
from scipy.optimize import linear_sum_assignment


def cluster_accuracies(fitted, tested, clusters, classes):
    """{what: share} of test images whose cluster stands for their class; {} without labels.

    fitted, tested: (cluster (N,), label (N,)) int64 of training and of test images, a label of -1
    being none. Which class a cluster stands for is decided on the training images:

    accuracy_of_clusters: each for another, as many right as can be (Hungarian method).
    accuracy_purity_of_clusters: each for the one most frequent in it, several for the same one.
    """
    counts = contingency(*fitted, clusters, classes)
    cluster, label = (values.cpu() for values in tested)
    labelled = label >= 0
    if not counts.any() or not labelled.any():
        return {}
    rows, columns = linear_sum_assignment(counts.numpy(), maximize=True)
    matched = torch.full((clusters,), -1)
    matched[torch.from_numpy(rows)] = torch.from_numpy(columns)
    stands_for = {
        "accuracy_of_clusters": matched,
        "accuracy_purity_of_clusters": counts.argmax(dim=1),
    }
    return {
        name: (classes_of[cluster] == label)[labelled].double().mean().item()
        for name, classes_of in stands_for.items()
    }


def contingency(cluster, label, clusters, classes):
    """(clusters, classes) int64: how many images of a class are in a cluster."""
    cluster, label = cluster.cpu(), label.cpu()
    pairs = (cluster * classes + label)[label >= 0]
    return pairs.bincount(minlength=clusters * classes).view(clusters, classes)
