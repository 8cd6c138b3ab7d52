"""What a network has learned: python -m zoo.probe checkpoint=wgan_digits labels=100

DCGAN's protocol (Radford, Metz, Chintala 2015, arXiv 1511.06434, section 5): a linear SVM on the
features of the discriminator's convolutional layers, trained on few labels. docs/probe.md.
"""

import inspect
import sys
from contextlib import contextmanager

from zoo.cli import main, write_json

PLAYERS = ("discriminator", "critic", "encoder")
PENALTIES = tuple(10.0**exponent for exponent in range(-4, 4))  # the SVM's C, small to large
PROTOCOL = {
    "classifier": "linear L2-SVM, one against the rest, features not standardised",
    "C": "of least error on val, mean over the draws",
    "unit": "percent; mean and standard deviation over the draws",
}


def probe(
    checkpoint: str,
    labels: int = 100,
    draws: int = 10,
    seed: int = 0,
    data: dict | None = None,
    player: str | None = None,
    out: str | None = None,
    device: str = "cpu",
):
    """Says how well a few labels and a linear SVM classify the features of a trained network.

    Beside its error stand those of the same network untrained and of the raw pixels: same labels,
    same protocol. A table for the eye, JSON with the protocol.

    checkpoint: name of a pretrained model, a run's folder, or a checkpoint file
    labels: labelled training images, the same number of each class
    draws: how often such labels are drawn; the errors come with their spread over the draws
    data: data=NAME data.KEY=VALUE; by default those the model was trained on
    player: the network; by default the first found of discriminator, critic, encoder
    out: file to write the JSON to as well
    """
    from zoo.base import dotted_path
    from zoo.checkpoints import find, load_data, load_on

    model = load_on(checkpoint, device)
    source = load_data(checkpoint, data)
    result = {
        "checkpoint": str(find(checkpoint)),
        "model": dotted_path(model),
        **compare(model, find_player(model, player), source, labels, draws, seed),
    }
    tell(result, out)
    return result


def compare(model, player, data, labels, draws, seed):
    """{test_error, trained_is_better_by, protocol} of a model's network, untrained and pixels."""
    check_shape(model, data)
    data.prepare_data()
    splits = {split: labelled(data, split) for split in ("train", "val", "test")}
    chosen = label_draws(splits["train"][1], labels, draws, seed)
    subjects = {
        "trained": features_of(model, player),
        "untrained": features_of(rebuilt(model, seed), player),
        "pixels": lambda images: scaled(images).flatten(1),
    }
    errors = {name: svm_errors(features, chosen, **splits) for name, features in subjects.items()}
    return {
        "test_error": errors,
        "trained_is_better_by": {name: gain(errors, name) for name in ("untrained", "pixels")},
        "protocol": {"player": player, "trained_on": list(model.needs)}
        | {"labels": labels, "draws": draws, "seed": seed}
        | {split: f"{len(of)} images of {data.name}" for split, (_, of) in splits.items()}
        | PROTOCOL,
    }


def conv_features(network, images, batch_size=500, run=None):
    """The features (N, F), float32 on the CPU, that all convolutional layers give of images.

    A layer is represented by what comes out of the normalisation and the activation behind it, as
    in the authors' code: of all modules that are fed its output and keep its shape. That is
    max-pooled to 4x4, or left as it is where it is smaller, and flattened. A last layer of one
    channel is a logit, and no representation. The network runs in eval mode, and is left as it was.

    Args:
        network: any module with Conv2d layers; of an activation that is a function, nothing is
            seen.
        images: (N, C, H, W) float in [-1, 1].
        run: passes a batch of images through the network, which may take more than those.

    Raises UserError for a network without convolutional layers.
    """
    import torch
    from torch.nn import Conv2d

    from zoo.errors import UserError

    if not any(isinstance(m, Conv2d) and m.out_channels > 1 for m in network.modules()):
        raise UserError("The network has no convolutional layers (but for a logit): no features.")
    device = next(network.parameters()).device
    modes = {module: module.training for module in network.modules()}
    network.eval()
    batches = []
    try:
        with torch.no_grad(), recorded(network) as layers:
            for batch in images.split(batch_size):
                layers.clear()
                (run or network)(batch.to(device))
                batches.append(joined(layers).float().cpu())
    finally:
        for module, mode in modes.items():
            module.training = mode
    return torch.cat(batches)


@contextmanager
def recorded(network):
    """Gives a list to which a pass adds (output, features (N, F)) of each convolutional layer."""
    from torch import nn

    layers = []

    def record(module, inputs, output):
        # Pooled at once: an activation in place, further on, would change what is kept of this one.
        if isinstance(module, nn.Conv2d):
            layers.append((output, pooled(output)))
            return
        for number, (before, _) in enumerate(layers):
            if inputs and inputs[0] is before and output.shape == before.shape:
                layers[number] = (output, pooled(output))

    seen = [m for m in network.modules() if isinstance(m, nn.Conv2d) or not list(m.children())]
    hooks = [module.register_forward_hook(record) for module in seen]
    try:
        yield layers
    finally:
        for hook in hooks:
            hook.remove()


def pooled(maps):
    """(N, C, H, W) -> (N, F): the maxima on a grid of 4x4, or of the map's size if it is less."""
    from torch.nn.functional import adaptive_max_pool2d

    return adaptive_max_pool2d(maps, [min(4, side) for side in maps.shape[-2:]]).flatten(1)


def joined(layers):
    """(N, F) of what `recorded` gives, without a last layer of one channel."""
    import torch

    last, _ = layers[-1]
    kept = layers[:-1] if last.shape[1] == 1 else layers
    return torch.cat([features for _, features in kept], dim=1)


def label_draws(labels, count, draws, seed):
    """(draws, count) int64: for each draw the places of `count` labels, as many of each class.

    labels: (N,) int64, of which those below 0 are none. Draws are independent of each other, as in
    the paper; of a larger count, the draw of the same number holds that of a smaller one. Raises
    UserError for counts that cannot be drawn.
    """
    import torch

    from datamodules.loader import shuffled
    from zoo.errors import UserError

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
    orders = [shuffled(len(labels), seed, "labels", draw) for draw in range(draws)]
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
    from sklearn.svm import LinearSVC

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
    import torch

    predictions = [torch.from_numpy(svm.predict(features.numpy())) for svm in svms]
    return 100 * (torch.stack(predictions) != labels).double().mean(dim=1)


def gain(errors, control):
    """{mean, std, wins}: by how much training lowers the error of a control, draw by draw."""
    import torch

    trained, other = (
        torch.tensor(errors[name]["errors"], dtype=torch.float64) for name in ("trained", control)
    )
    gains = other - trained
    return {"mean": gains.mean().item(), "std": gains.std().item(), "wins": int((gains > 0).sum())}


def scaled(images):
    """uint8 images as float in [-1, 1], as a network takes them."""
    return images / 127.5 - 1


def features_of(model, player):
    """The function of uint8 images (N, C, H, W) to the features (N, F) of a model's network.

    A discriminator that takes labels is told of each image that it is of class 0: the labels that
    the features are to predict must not be in them. UserError for another network of several
    inputs.
    """
    import torch

    from zoo.errors import UserError

    def judged(images):
        label = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        return model.judge(images, {"image": images, "label": label})

    run = judged if player == "discriminator" and hasattr(model, "judge") else None
    takes = inspect.signature(getattr(model, player).forward).parameters.values()
    if run is None and sum(p.default is p.empty for p in takes) != 1:
        raise UserError(f"player={player} takes more than images: it cannot be probed.")
    return lambda images: conv_features(getattr(model, player), scaled(images), run=run)


def labelled(data, split):
    """The images, uint8 (N, C, H, W), and labels (N,) of a split; UserError if there are none."""
    import torch

    from zoo.errors import UserError

    batches = list(data.loader(split)) if data.classes else []
    kept = [batch["label"] >= 0 for batch in batches]
    if not any(keep.any() for keep in kept):
        hint = ": C is chosen on them, data.val_count=... holds some out" if split == "val" else ""
        raise UserError(f"{data.name} has no labelled {split} images{hint}.")
    return tuple(
        torch.cat([batch[name][keep] for batch, keep in zip(batches, kept, strict=True)])
        for name in ("image", "label")
    )


def find_player(model, name):
    """The name of the network to probe; UserError if the model has no such network."""
    from zoo.errors import UserError, unknown

    networks = [child for child, _ in model.named_children()]
    found = [player for player in PLAYERS if player in networks]
    if name is None and not found:
        raise UserError(
            f"{type(model).__name__} has no {', '.join(PLAYERS)}: say player=NAME, one of "
            f"{', '.join(networks)}."
        )
    if name is not None and name not in networks:
        raise unknown("player=", name, networks)
    return name or found[0]


def check_shape(model, data):
    """UserError for data whose images are not of the shape that the model was made for."""
    from zoo.errors import UserError

    for name in ("image_size", "image_channels"):
        made_for, given = model.hparams.get(name), getattr(data, name)
        if made_for not in (None, given):
            raise UserError(
                f"The model is made for {name}={made_for}, but {data.name} has {given}: choose "
                f"other data, or bring them to it where they can be (data.{name}={made_for})."
            )


def rebuilt(model, seed):
    """The model anew, with fresh weights that depend on the seed alone."""
    import torch

    from zoo import catalog
    from zoo.base import dotted_path, reseed

    # A class may decide parameters of its base: those are not its own.
    own = catalog.describe("model", dotted_path(model)).parameters
    with torch.random.fork_rng(devices=[]):
        reseed(torch.device("cpu"), seed, "untrained")
        fresh = type(model)(**{k: v for k, v in model.hparams.items() if k in own})
    return fresh.to(model.device)


def tell(result, out):
    """The errors as a table on stderr, and all of it as JSON on stdout and in the file `out`."""
    protocol = result["protocol"]
    header = f"{protocol['labels']} labels, {protocol['draws']} draws"
    print(f"  {header:<24} {'test error':>15} {'C':>8} {'features':>9}", file=sys.stderr)
    for name, row in result["test_error"].items():
        error = f"{row['error']:.2f} ± {row['std']:.2f} %"
        print(f"  {name:<24} {error:>15} {row['C']:>8g} {row['features']:>9}", file=sys.stderr)
    write_json(result, out)


if __name__ == "__main__":
    main(probe)
