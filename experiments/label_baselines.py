"""Train classifiers on few labels, as baselines for semi-supervised models.

python -m experiments.label_baselines data=digits labels=20 draws=10

The classifiers are scikit-learn's, with default settings except the number of iterations and of
neighbors. They train on raw pixels of the same labeled images and use no unlabeled ones.
docs/adversarial.md, improved_gan.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.config.cli import main, write_json


def label_baselines(
    data: dict | None = None, labels: int = 20, draws: int = 10, out: str | None = None
) -> dict[str, list[float]]:
    """Measure the test error of classifiers trained on the raw pixels of few labeled images.

    Args:
        data: Images, data=NAME data.KEY=VALUE; digits by default.
        labels: Number of labeled training images, the same number per class.
        draws: Number of random label sets, with label_seed 0, 1 ... draws - 1.
        out: File to which the JSON is also written.

    Returns:
        {classifier: error of each label set in percent}.
    """
    from datamodules.digits import Digits
    from zoo.config.catalog import dotted_path
    from zoo.runs.checkpoints import build

    node = data or {"_target_": dotted_path(Digits())}
    errors: dict[str, list[float]] = {}
    for seed in range(draws):
        source = build("data", node | {"labels": labels, "label_seed": seed})
        source.prepare_data()
        for name, error in errors_of(source).items():
            errors.setdefault(name, []).append(error)
    write_json({name: summary(values) for name, values in errors.items()}, out)
    return errors


def errors_of(data: Any) -> dict[str, float]:
    """Train each classifier on the labeled training images.

    Args:
        data: A data module with few labels.

    Returns:
        {classifier: test error in percent}.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    batches = list(data.loader("test"))
    test = {key: torch.cat([batch[key] for batch in batches]) for key in ("image", "label")}
    train = data.source("train")[data.labeled_positions()]
    classifiers = {
        "logistic_regression": LogisticRegression(max_iter=1000),
        "svm_rbf": SVC(),
        "nearest_neighbor": KNeighborsClassifier(1),
    }
    return {
        name: 100 * (1 - classifier.fit(*flat(train)).score(*flat(test)))
        for name, classifier in classifiers.items()
    }


def flat(batch: dict[str, Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Convert a batch of uint8 images for scikit-learn.

    Args:
        batch: Has `image` (N, C, H, W) and `label` (N,).

    Returns:
        Pixels (N, D) in [0, 1] and labels (N,).
    """
    return batch["image"].flatten(1).numpy() / 255, batch["label"].numpy()


def summary(errors: list[float]) -> dict[str, Any]:
    """Summarize the errors of all label sets.

    Args:
        errors: Error of each label set in percent.

    Returns:
        {error: mean, std: sample standard deviation or None for one set, errors: the values}.
    """
    values = torch.tensor(errors, dtype=torch.float64)
    std = values.std().item() if len(errors) > 1 else None
    return {"error": values.mean().item(), "std": std, "errors": errors}


if __name__ == "__main__":
    main(label_baselines)
