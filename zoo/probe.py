"""What a network has learned: python -m zoo.probe checkpoint=wgan_digits labels=100

DCGAN's protocol (Radford, Metz, Chintala 2015, arXiv 1511.06434, section 5): a linear SVM on the
features of the discriminator's convolutional layers, trained on few labels. docs/probe.md.
"""

import inspect
import sys
from typing import Annotated

from zoo.config.cli import main, write_json
from zoo.config.ranges import in_range

PLAYERS = ("discriminator", "critic", "encoder")
PROTOCOL = {
    "classifier": "linear L2-SVM, one against the rest, features not standardised",
    "C": "of least error on val, mean over the draws",
    "unit": "percent; mean and standard deviation over the draws",
}


@in_range
def probe(
    checkpoint: str,
    labels: Annotated[int, "[1, 100000000]"] = 100,
    draws: Annotated[int, "[2, 10000]"] = 10,
    seed: int = 0,
    data: dict | None = None,
    player: str | None = None,
    out: str | None = None,
    accelerator: str = "auto",
    threads: int | None = None,
    trust: str | tuple[str, ...] = (),
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
    trust: a package, or [A,B], whose classes the checkpoint may name; see docs/security.md
    """
    from zoo.config.catalog import dotted_path
    from zoo.config.trust import trusting
    from zoo.runs.checkpoints import load_data, load_model
    from zoo.runs.launch import single_device
    from zoo.runs.loaded_checkpoint import read

    with trusting(trust):
        loaded = read(checkpoint)
        model = load_model(loaded).to(single_device(accelerator, threads))
        source = load_data(loaded, data)
    result = {
        "checkpoint": str(loaded.path),
        "model": dotted_path(model),
        **compare(model, find_player(model, player), source, labels, draws, seed),
    }
    tell(result, out)
    return result


def compare(model, player, data, labels, draws, seed):
    """{test_error, trained_is_better_by, protocol} of a model's network, untrained and pixels."""
    from zoo.metrics.linear_probe import gain, label_draws, svm_errors

    def ready(images):
        return data.prepare_batch({"image": images}, model)["image"]

    check_shape(model, data)
    data.prepare_data()
    splits = {split: labelled(data, split) for split in ("train", "val", "test")}
    chosen = label_draws(splits["train"][1], labels, draws, seed)
    trained, untrained = (features_of(m, player) for m in (model, rebuilt(model, seed)))
    subjects = {
        "trained": lambda images: trained(ready(images)),
        "untrained": lambda images: untrained(ready(images)),
        "pixels": lambda images: ready(images).flatten(1).float().cpu(),
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


def features_of(model, player):
    """The function of images (N, C, H, W) to the features (N, F) of a model's network.

    A discriminator that takes labels is told of each image that it is of class 0: the labels that
    the features are to predict must not be in them. UserError for another network of several
    inputs.
    """
    import torch

    from zoo.config.errors import UserError
    from zoo.metrics.conv_features import conv_features

    def judged(images):
        label = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        return model.discriminate(images, {"image": images, "label": label})

    run = judged if player == "discriminator" and hasattr(model, "discriminate") else None
    takes = inspect.signature(getattr(model, player).forward).parameters.values()
    if run is None and sum(p.default is p.empty for p in takes) != 1:
        raise UserError(f"player={player} takes more than images: it cannot be probed.")
    return lambda images: conv_features(getattr(model, player), images, run=run)


def labelled(data, split):
    """The raw images (N, C, H, W) and labels (N,) of a split; UserError if there are none."""
    import torch

    from zoo.config.errors import UserError

    batches = list(data.loader(split)) if data.classes else []
    kept = [batch["label"] >= 0 for batch in batches]
    if not any(keep.any() for keep in kept):
        setting = "val_fraction" if "val_fraction" in data.hparams else "val_count"
        hint = f": C is chosen on them, data.{setting}=... holds some out"
        hint = hint if split == "val" else ""
        raise UserError(f"{data.name} has no labelled {split} images{hint}.")
    return tuple(
        torch.cat([batch[name][keep] for batch, keep in zip(batches, kept, strict=True)])
        for name in ("image", "label")
    )


def find_player(model, name):
    """The name of the network to probe; UserError if the model has no such network."""
    from zoo.config.errors import UserError, unknown

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
    from zoo.config.errors import UserError

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

    from zoo.config import catalog
    from zoo.config.catalog import dotted_path
    from zoo.engine.seeds import reseed

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
