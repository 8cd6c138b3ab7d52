"""How well a linear SVM classifies features by few labels, in several draws of them."""

import torch
from sklearn.svm import LinearSVC

from zoo.config.errors import UserError
from zoo.engine.seeds import keyed_permutation

PENALTIES = tuple(10.0**exponent for exponent in range(-4, 4))  # the SVM's C, small to large


def label_draws(labels, count, draws, seed):
    """(draws, count) int64: for each draw the places of `count` labels, as many of each class.

    labels: (N,) int64, of which those below 0 are none. Draws are independent of each other, as in
    the paper; of a larger count, the draw of the same number holds that of a smaller one. Raises
    UserError for counts that cannot be drawn.
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


def svm_errors(features, draws, train, val, test):
    """{error, std, errors, C, val_error, features} of a linear L2-SVM, errors in percent.

    One C serves all draws, the smallest of those with the least mean error on `val`; `test` is
    looked at once, with it. Features are taken as they are, which is the paper's way and gives
    smaller errors than standardising them (docs/probe.md).

    Args:
        features: a function of images (N, ...) to features (N, F).
        draws: (D, n) places in `train`, at least two draws.
        train, val, test: images and labels (N,).
    """
    used, places = draws.unique(return_inverse=True)
    inputs, targets = features(train[0][used]).numpy(), train[1][used].numpy()
    # The primal problem: the dual, LinearSVC's own choice here, fails to converge at a large C.
    fits = {
        penalty: [LinearSVC(C=penalty, dual=False).fit(inputs[p], targets[p]) for p in places]
        for penalty in PENALTIES
    }
    held_out = features(val[0])
    val_errors = {c: wrong(svms, held_out, val[1]).mean().item() for c, svms in fits.items()}
    best = min(val_errors, key=val_errors.get)
    errors = wrong(fits[best], features(test[0]), test[1])
    return {
        "error": errors.mean().item(),
        "std": errors.std().item(),
        "errors": errors.tolist(),
        "C": best,
        "val_error": val_errors[best],
        "features": inputs.shape[1],
    }


def wrong(svms, features, labels):
    """(D,) float64: how many of the labels each SVM gets wrong, in percent."""
    predictions = [torch.from_numpy(svm.predict(features.numpy())) for svm in svms]
    return 100 * (torch.stack(predictions) != labels).double().mean(dim=1)


def gain(errors, control):
    """{mean, std, wins}: by how much training lowers the error of a control, draw by draw."""
    trained, other = (
        torch.tensor(errors[name]["errors"], dtype=torch.float64) for name in ("trained", control)
    )
    gains = other - trained
    return {"mean": gains.mean().item(), "std": gains.std().item(), "wins": int((gains > 0).sum())}
