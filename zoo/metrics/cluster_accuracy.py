"""Agreement of clusters, found without labels, with the classes."""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


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
