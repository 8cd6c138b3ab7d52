"""Few labels and raw pixels: python -m experiments.label_baselines data=digits labels=20 draws=10

What a semi-supervised model is to be compared with: classifiers of scikit-learn, as they come,
that see the same labeled images and no others. docs/adversarial.md, improved_gan.
"""

from typing import Any

import torch
from torch import Tensor

from zoo.config.cli import main, write_json


def label_baselines(
    data: dict | None = None, labels: int = 20, draws: int = 10, out: str | None = None
):
    """Test error of classifiers on raw pixels, for labels drawn as data.labels=N draws them.

    data: data=NAME data.KEY=VALUE; digits by default
    labels: labeled training images, as many of each class
    draws: label_seed is 0, 1 ... draws - 1
    out: file to write the JSON to as well
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
    """{classifier: test error in percent} after the labeled images of the training set."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    batches = list(data.loader("test"))
    test = {key: torch.cat([batch[key] for batch in batches]) for key in ("image", "label")}
    train = data.source("train")[data.labelled_positions()]
    classifiers = {
        "logistic_regression": LogisticRegression(max_iter=1000),
        "svm_rbf": SVC(),
        "nearest_neighbour": KNeighborsClassifier(1),
    }
    return {
        name: 100 * (1 - classifier.fit(*flat(train)).score(*flat(test)))
        for name, classifier in classifiers.items()
    }


def flat(batch: dict[str, Tensor]):
    """Pixels (N, D) in [0, 1] and labels (N,) of uint8 images, as arrays."""
    return batch["image"].flatten(1).numpy() / 255, batch["label"].numpy()


def summary(errors):
    """{error, std, errors} of the draws, in percent; the deviation is the sample's."""
    values = torch.tensor(errors, dtype=torch.float64)
    std = values.std().item() if len(errors) > 1 else None
    return {"error": values.mean().item(), "std": std, "errors": errors}


if __name__ == "__main__":
    main(label_baselines)
