"""Accuracy of a linear SVM on features, trained on several random sets of few labels."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from sklearn.svm import LinearSVC
from torch import Tensor

from zoo.config.errors import UserError
from zoo.engine.seeds import keyed_permutation

PENALTIES = tuple(10.0**exponent for exponent in range(-4, 4))  # the SVM's C, small to large


def label_draws(labels: Tensor, count: int, draws: int, seed: int) -> Tensor:
    """Sample sets of labels, with the same number of labels of each class.

    As in the paper, the sets are independent. With a larger `count`, set i contains the smaller set
    i.

    Args:
        labels: (N,) int64. Values below 0 are unlabeled.
        count: Number of labels in a set.
        draws: Number of sets, at least 2.
        seed: Seed of the sets.

    Returns:
        Positions of the labels, (draws, count) int64.

    Raises:
        UserError: The count is not a multiple of the number of classes, or too large.
    """
    classes, sizes = labels[labels >= 0].unique(return_counts=True)
    each, rest = divmod(count, len(classes))
    if rest or each < 1:
        raise UserError(
            f"labels={count} must be a multiple of the number of classes, {len(classes)}."
        )
    if each > sizes.min():
        raise UserError(
            f"labels={count}: the rarest class has {sizes.min()} labels, which makes "
            f"{sizes.min() * len(classes)} at most."
        )
    if draws < 2:
        raise UserError(f"draws={draws} must be at least 2: one draw has no spread.")
    orders = [keyed_permutation(len(labels), seed, "labels", draw) for draw in range(draws)]
    return torch.stack(
        [torch.cat([order[labels[order] == c][:each] for c in classes]) for order in orders]
    )


def svm_errors(
    features: Callable[[Tensor], Tensor],
    draws: Tensor,
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
) -> dict[str, Any]:
    """Measure the errors of a linear L2-SVM on features, in percent.

    All sets use the same C, the smallest with the lowest mean error on `val`. `test` is used once,
    with that C. Features are not standardized, as in the paper. This lowers errors (docs/probe.md).

    Args:
        features: Function from images (N, ...) to features (N, F).
        draws: Positions (D, n) in `train`, at least two sets.
        train: Images and labels (N,).
        val: Images and labels.
        test: Images and labels.

    Returns:
        error and std: mean and standard deviation over sets. errors: of each set. C. val_error.
        features: their number F.
    """
    used, places = draws.unique(return_inverse=True)
    inputs, targets = features(train[0][used]).numpy(), train[1][used].numpy()
    # The primal problem, because the dual does not converge for a large C.
    fits = {
        penalty: [LinearSVC(C=penalty, dual=False).fit(inputs[p], targets[p]) for p in places]
        for penalty in PENALTIES
    }
    held_out = features(val[0])
    val_errors = {c: error_rates(svms, held_out, val[1]).mean().item() for c, svms in fits.items()}
    best = min(val_errors, key=lambda penalty: val_errors[penalty])
    errors = error_rates(fits[best], features(test[0]), test[1])
    return {
        "error": errors.mean().item(),
        "std": errors.std().item(),
        "errors": errors.tolist(),
        "C": best,
        "val_error": val_errors[best],
        "features": inputs.shape[1],
    }


def error_rates(svms: Sequence[LinearSVC], features: Tensor, labels: Tensor) -> Tensor:
    """Return the error of each SVM in percent, (D,) float64."""
    predictions = [torch.from_numpy(svm.predict(features.numpy())) for svm in svms]
    return 100 * (torch.stack(predictions) != labels).double().mean(dim=1)


def gain(errors: dict[str, dict[str, Any]], control: str) -> dict[str, float]:
    """Compare the trained network with a control on each set of labels.

    Args:
        errors: {name: result of svm_errors}, with "trained" and the control.
        control: Name of the control.

    Returns:
        mean and std of the reduction of the error. wins: number of sets with a reduction.
    """
    trained, other = (
        torch.tensor(errors[name]["errors"], dtype=torch.float64) for name in ("trained", control)
    )
    gains = other - trained
    return {"mean": gains.mean().item(), "std": gains.std().item(), "wins": int((gains > 0).sum())}
