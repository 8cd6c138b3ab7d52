"""Clusters against classes: which stands for which, and what k-means reaches."""

import pytest
import torch
from sklearn.cluster import KMeans

from datamodules.digits import Digits
from zoo.metrics.cluster_accuracy import cluster_accuracies, contingency

LABEL = torch.tensor([0, 0, 0, 1, 1, 2])


def test_names_of_clusters_do_not_matter():
    cluster = torch.tensor([2, 0, 1])[LABEL]
    found = cluster_accuracies((cluster, LABEL), (cluster, LABEL), clusters=3, classes=3)
    assert found == {"accuracy_of_clusters": 1.0, "accuracy_purity_of_clusters": 1.0}


def test_one_class_in_two_clusters_counts_once_for_accuracy_and_twice_for_purity():
    # Cluster 0 holds three of class 0, cluster 1 two of it and one of class 1, cluster 2 class 1.
    cluster = torch.tensor([0, 0, 0, 1, 1, 1, 2])
    label = torch.tensor([0, 0, 0, 0, 0, 1, 1])
    found = cluster_accuracies((cluster, label), (cluster, label), clusters=3, classes=2)
    assert found["accuracy_of_clusters"] == pytest.approx(4 / 7)
    assert found["accuracy_purity_of_clusters"] == pytest.approx(6 / 7)


def test_the_best_matching_is_no_greedy_one():
    # Greedy: 0 -> 0 (10), 1 -> 1 (0). Best: 0 -> 1 (9), 1 -> 0 (9).
    cluster = torch.tensor([0] * 19 + [1] * 9)
    label = torch.tensor([0] * 10 + [1] * 9 + [0] * 9)
    found = cluster_accuracies((cluster, label), (cluster, label), clusters=2, classes=2)
    assert found["accuracy_of_clusters"] == pytest.approx(18 / 28)


def test_what_a_cluster_stands_for_is_decided_on_the_training_images():
    tested = 1 - LABEL.clamp(max=1), LABEL.clamp(max=1)
    fitted = LABEL.clamp(max=1), LABEL.clamp(max=1)
    assert set(cluster_accuracies(fitted, tested, 2, 2).values()) == {0.0}
    assert set(cluster_accuracies(tested, tested, 2, 2).values()) == {1.0}


def test_what_has_no_label_is_left_out():
    none = torch.full_like(LABEL, -1)
    assert cluster_accuracies((LABEL, none), (LABEL, LABEL), 3, 3) == {}
    assert cluster_accuracies((LABEL, LABEL), (LABEL, none), 3, 3) == {}
    some = torch.where(torch.arange(6) % 2 == 0, LABEL, none)
    wrong = torch.where(some < 0, (LABEL + 1) % 3, LABEL)
    assert contingency(wrong, some, 3, 3).sum() == 3
    assert set(cluster_accuracies((wrong, some), (wrong, some), 3, 3).values()) == {1.0}


def test_chance_is_a_class_in_ten():
    generator = torch.Generator().manual_seed(0)
    cluster, label = torch.randint(10, (2, 20_000), generator=generator)
    found = cluster_accuracies((cluster, label), (cluster.flip(0), label), 10, 10)
    assert max(found.values()) < 0.12


def test_k_means_on_the_pixels_of_digits():
    """The baseline beside which docs/adversarial.md puts the categories of InfoGAN."""
    data = Digits()
    parts = [data.source(split) for split in ("train", "test")]
    batches = [part[torch.arange(len(part))] for part in parts]
    pixels = [batch["image"].flatten(1).numpy() / 255 for batch in batches]
    accuracies = []
    for seed in range(3):
        means = KMeans(10, n_init=10, random_state=seed).fit(pixels[0])
        found = [torch.from_numpy(means.predict(of)).long() for of in pixels]
        found = zip(found, (batch["label"] for batch in batches), strict=True)
        accuracies.append(cluster_accuracies(*found, 10, 10)["accuracy_of_clusters"])
    assert accuracies == pytest.approx([0.79] * 3, abs=0.03)
