"""Measure the features of a trained network.

python -m zoo.probe checkpoint=wgan_digits labels=100

DCGAN's protocol (Radford, Metz, Chintala 2015, arXiv 1511.06434, section 5): a linear SVM on the
features of the discriminator's convolutional layers, trained on few labels. docs/probe.md.
"""

import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any

from zoo.config.cli import main, write_json
from zoo.config.ranges import in_range

PLAYERS = ("discriminator", "critic", "encoder")
PROTOCOL = {
    "classifier": "linear L2-SVM, one against the rest, features not standardized",
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
) -> dict:
    """Measure how well a linear SVM with few labels classifies the features of a trained network.

    The untrained network and raw pixels are measured with the same labels and the same protocol.
    Prints a table, and JSON that includes the protocol.

    Args:
        checkpoint: Name of a pretrained model, a run's folder, a checkpoint file, or
            hf://user/repo[@revision].
        labels: Number of labeled training images, the same number per class.
        draws: Number of random label sets; errors are reported as mean and standard deviation over
            them.
        seed: Seed of the label sets and of the untrained network.
        data: Images, data=NAME data.KEY=VALUE; by default the data of training.
        player: The network; by default the first that exists of discriminator, critic, encoder.
        out: File to which the JSON is also written.
        accelerator: cpu, gpu, mps, or auto for the best one available.
        threads: Number of CPU threads; by default torch chooses.
        trust: A package, or a list [A,B], whose classes the checkpoint may use (docs/security.md).
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
    report(result, out)
    return result


def compare(model: Any, player: str, data: Any, labels: int, draws: int, seed: int) -> dict:
    """Compare the features of a trained network, the same network untrained, and raw pixels.

    Returns:
        {"test_error": ..., "trained_is_better_by": ..., "protocol": ...}.
    """
    from zoo.metrics.linear_probe import gain, label_draws, svm_errors

    def ready(images: Any) -> Any:
        return data.prepare_batch({"image": images}, model)["image"]

    check_shape(model, data)
    data.prepare_data()
    splits = {split: labeled(data, split) for split in ("train", "val", "test")}
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


def features_of(model: Any, player: str) -> Callable:
    """Return the function from images (N, C, H, W) to the features (N, F) of a model's network.

    A discriminator that takes labels gets class 0 for each image: the features must not hold the
    labels that they are to predict.

    Raises:
        UserError: Another network has several inputs.
    """
    import torch

    from zoo.config.errors import UserError
    from zoo.metrics.conv_features import conv_features

    def discriminate(images: Any) -> Any:
        label = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        return model.discriminate(images, {"image": images, "label": label})

    run = discriminate if player == "discriminator" and hasattr(model, "discriminate") else None
    takes = inspect.signature(getattr(model, player).forward).parameters.values()
    if run is None and sum(p.default is p.empty for p in takes) != 1:
        raise UserError(f"player={player} takes more than images: it cannot be probed.")
    return lambda images: conv_features(getattr(model, player), images, run=run)


def labeled(data: Any, split: str) -> tuple:
    """Return the raw images (N, C, H, W) and labels (N,) of a split that have a label.

    Raises:
        UserError: There are none.
    """
    import torch

    from zoo.config.errors import UserError

    batches = list(data.loader(split)) if data.classes else []
    kept = [batch["label"] >= 0 for batch in batches]
    if not any(keep.any() for keep in kept):
        setting = "val_fraction" if "val_fraction" in data.hparams else "val_count"
        hint = f": C is chosen on them, data.{setting}=... holds some out"
        hint = hint if split == "val" else ""
        raise UserError(f"{data.name} has no labeled {split} images{hint}.")
    return tuple(
        torch.cat([batch[name][keep] for batch, keep in zip(batches, kept, strict=True)])
        for name in ("image", "label")
    )


def find_player(model: Any, name: str | None) -> str:
    """Return the name of the network to probe, by default the first of PLAYERS.

    Raises:
        UserError: The model has no such network.
    """
    from zoo.config.errors import UserError, unknown

    networks = [child for child, _ in model.named_children()]
    found = [player for player in PLAYERS if player in networks]
    if name is None and not found:
        raise UserError(
            f"{type(model).__name__} has no {', '.join(PLAYERS)}: set player=NAME, one of "
            f"{', '.join(networks)}."
        )
    if name is not None and name not in networks:
        raise unknown("player=", name, networks)
    return name or found[0]


def check_shape(model: Any, data: Any) -> None:
    """Check that the images of the data have the shape that the model was made for.

    Raises:
        UserError: They do not.
    """
    from zoo.config.errors import UserError

    for name in ("image_size", "image_channels"):
        expected, found = model.hparams.get(name), getattr(data, name)
        if expected not in (None, found):
            raise UserError(
                f"The model is made for {name}={expected}, but {data.name} has {found}: choose "
                f"other data, or set data.{name}={expected} if they have this parameter."
            )


def rebuilt(model: Any, seed: int) -> Any:
    """Return the model with new initial weights, which depend only on the seed."""
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


def report(result: dict, out: str | None) -> None:
    """Print the errors as a table on stderr, and everything as JSON on stdout and to `out`."""
    protocol = result["protocol"]
    header = f"{protocol['labels']} labels, {protocol['draws']} draws"
    print(f"  {header:<24} {'test error':>15} {'C':>8} {'features':>9}", file=sys.stderr)
    for name, row in result["test_error"].items():
        error = f"{row['error']:.2f} ± {row['std']:.2f} %"
        print(f"  {name:<24} {error:>15} {row['C']:>8g} {row['features']:>9}", file=sys.stderr)
    write_json(result, out)


if __name__ == "__main__":
    main(probe)
