"""Steps of training beside a loop as it is usually written: python -m benchmarks.train [NAME ...]

Ours is `python -m zoo.fit` with the CSV log and the usual callbacks but metrics, which are measured
between steps; the other is in peers.py. Networks, batch size and mathematics are the same, which is
checked first: from the same weights, batches and noise the losses of the first batches are equal to
1e-5. Then they take turns in this process, on one CPU thread or a GPU, ours in float32 and with
trainer.precision=bf16-mixed. Prints a table of medians; --json FILE writes them, too.
"""

import argparse
import copy
import itertools
import json
import statistics
import sys
import tempfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_class
from pytorch_lightning import Callback, Trainer

from benchmarks import peers
from benchmarks.clock import Clock, now
from benchmarks.overhead import Batches
from datamodules.base import DataModule
from datamodules.digits import Digits
from datamodules.shapes import Shapes
from zoo import fit
from zoo.atomic_files import write_text
from zoo.base import GenerativeModule
from zoo.config import catalog
from zoo.config.errors import unknown
from zoo.engine.seeds import reseed
from zoo.runs.training import silence_lightning

ROUNDS, TOLERANCE, BATCH = 3, 1e-5, 64
PRECISIONS = "32-true", "bf16-mixed"
WGAN_GP = {"model": "wgan_gp", "dequantize": False}

# What is trained: the other loop, the model and its settings, the batches to a move of the
# generator, and the moves of a round, of which the first is not counted.
CASES = {
    "wgan_gp": (peers.wgan_gp, WGAN_GP | {"network": "dcgan_no_norm", "width": 64}, 5, 4),
    "wgan_gp_mlp": (peers.wgan_gp, WGAN_GP | {"network": "mlp", "width": 512}, 5, 11),
    "dcgan": (peers.dcgan, {"model": "dcgan"}, 1, 16),
    "sngan": (peers.sngan, {"model": "sngan", "dequantize": False, "width": 32}, 5, 3),
    "vae": (peers.vae, {"model": "vae", "network": "conv", "width": 32}, 1, 31),
    "wgan_digits": (peers.wgan, {"model": "wgan", "width": 32, "critic_steps": 2}, 2, 101),
}


class Noting(Callback):
    """The losses of each batch."""

    def __init__(self):
        self.losses = []

    def on_train_batch_end(
        self, trainer: Trainer, model: GenerativeModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append([*model.losses.values()])


def data_of(name: str):
    """(how the command line says it, the datamodule)"""
    if name.endswith("digits"):
        return ["data=digits"], Digits()
    settings = {"image_size": 32, "count": 1000, "val_count": 0}
    return ["data=shapes", *(f"data.{k}={v}" for k, v in settings.items())], Shapes(**settings)


def build(name: str, data: DataModule):
    settings = dict(CASES[name][1])
    shape = {"image_size": data.image_size, "image_channels": data.image_channels}
    cls = get_class(catalog.describe("model", settings.pop("model")).target)
    torch.manual_seed(0)
    return cls(**settings | shape)


def difference(name: str):
    """The largest relative difference of both loops' losses, from the same start and noise.

    In float64: a step of Adam makes much of rounding.
    """
    peer, _, period, _ = CASES[name]
    _, data = data_of(name)
    source, count = data.source("train"), max(period, 3)
    model = build(name, data).double()
    images = data.prepare_batch(source[torch.arange(count * 8)], model)["image"]
    other = copy.deepcopy(model)

    def keyed():
        for number, batch in enumerate(images.split(8), start=1):
            reseed(batch.device, 0, number, 0)  # as the base does before each batch
            yield batch

    theirs = list(peer(other, keyed()))
    noting = Noting()
    trainer = Trainer(
        max_steps=count,
        max_epochs=1,
        accelerator="cpu",
        precision="64-true",
        logger=False,
        log_every_n_steps=1,
        callbacks=[noting],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, Batches([{"image": batch} for batch in images.split(8)]))
    pairs = [
        (a, b)
        for batch in zip(theirs, noting.losses, strict=True)
        for a, b in zip(*batch, strict=False)  # ours keeps a loss until its player's next move
    ]
    return max(abs(a - b) / max(1, abs(a)) for a, b in pairs)


def per_batch(ends, period):
    """Median milliseconds of a batch over whole periods, the first left out."""
    spans = [later - earlier for earlier, later in itertools.pairwise(ends[period - 1 :: period])]
    return statistics.median(spans) / period * 1e3


def theirs(name: str):
    peer, _, period, moves = CASES[name]
    _, data = data_of(name)
    source = data.source("train")
    images = source[torch.arange(len(source))]["image"]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    losses = peer(build(name, data).to(device), peers.batches(images, BATCH, device))
    ends = [now() for _ in itertools.islice(losses, period * moves)]
    return per_batch(ends, period)


def ours(name: str, precision):
    _, model, period, moves = CASES[name]
    said, _ = data_of(name)
    settings = [f"model={model['model']}"]
    settings += [f"model.{key}={value}" for key, value in model.items() if key != "model"]
    settings += [*said, f"data.batch_size={BATCH}", "experiment=none", "threads=1"]
    settings += [f"trainer.max_steps={period * moves}", f"trainer.precision={precision}"]
    settings += ["+callbacks=[benchmarks.clock.Clock]", "~callbacks.metrics"]
    Clock.ends.clear()
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        sys.argv = ["zoo.fit", *settings, f"folder={Path(folder, 'run')}"]
        fit.main()
    return per_batch(Clock.ends, period)


def measure(name: str):
    """{what: number} of a case."""
    unequal = difference(name)
    if unequal > TOLERANCE:
        raise ValueError(f"{name}: the loops' losses differ by {unequal:.1e}")
    rounds = [[theirs(name), *(ours(name, p) for p in PRECISIONS)] for _ in range(ROUNDS)]
    found = {"difference": unequal, "plain_ms": statistics.median(row[0] for row in rounds)}
    for place, precision in enumerate(PRECISIONS, start=1):
        ratios = [row[0] / row[place] for row in rounds]
        found[f"{precision}_ms"] = statistics.median(row[place] for row in rounds)
        found |= {f"{precision}_ratio": statistics.median(ratios), f"{precision}_ratios": ratios}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in CASES:
            parser.error(str(unknown("benchmark ", name, CASES)))
    silence_lightning()
    torch.set_num_threads(1)
    results = {}
    print("| | losses differ by | plain loop, ms | ours, ms | ratio | with bf16, ms | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name in arguments.names or CASES:
        found = results[name] = measure(name)
        cells = [f"{found['difference']:.0e}", f"{found['plain_ms']:.1f}"]
        for p in PRECISIONS:
            cells += [f"{found[f'{p}_ms']:.1f}", f"{found[f'{p}_ratio']:.2f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    if arguments.json:
        write_text(arguments.json, json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
