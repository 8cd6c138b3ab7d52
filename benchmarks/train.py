"""Compare training steps with a plain PyTorch loop: python -m benchmarks.train [NAME ...]

The zoo's side is `python -m zoo.fit` with the CSV log and the default callbacks, except metrics,
which are measured between steps. The plain loops are in plain_loops.py. Networks, batch size and
mathematics are the same. This is checked first: from the same weights, batches and noise, the
losses of the first batches agree to 1e-5. Both sides then alternate in this process, on one CPU
thread or a GPU, the zoo in float32, with trainer.precision=bf16-mixed and, with --compile, with
model.compile=true. Prints a table of medians, on a GPU with the peak memory of tensors.
"""

import argparse
import copy
import itertools
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_class
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from benchmarks import plain_loops
from benchmarks.clock import now, zoo_batch_ends
from benchmarks.overhead import Batches
from datamodules.digits import Digits
from datamodules.image import ImageDataModule
from datamodules.shapes import Shapes
from zoo.atomic_files import write_text
from zoo.base import GenerativeModule
from zoo.config import catalog
from zoo.config.errors import unknown
from zoo.engine.seeds import reseed
from zoo.runs.training import silence_lightning

ROUNDS, TOLERANCE = 3, 1e-5
QUIET = "logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"
VARIANTS = {"float32": [], "bf16-mixed": ["trainer.precision=bf16-mixed"]}
COMPILED = {"compiled": ["model.compile=true"]}
WGAN_GP = {"model": "wgan_gp", "dequantize": False}

# {name: (plain loop, model and its settings, batches per period, periods per round)}. A period
# ends with a generator update. The first period of a round is not timed.
CASES: dict[str, tuple[Callable[..., plain_loops.Losses], dict[str, Any], int, int]] = {
    "wgan": (plain_loops.wgan, {"model": "wgan"}, 5, 4),
    "wgan_gp": (plain_loops.wgan_gp, WGAN_GP | {"network": "dcgan_no_norm", "width": 64}, 5, 4),
    "wgan_gp_mlp": (plain_loops.wgan_gp, WGAN_GP | {"network": "mlp", "width": 512}, 5, 11),
    "dcgan": (plain_loops.dcgan, {"model": "dcgan"}, 1, 16),
    "sngan": (plain_loops.sngan, {"model": "sngan", "dequantize": False, "width": 32}, 5, 3),
    "vae": (plain_loops.vae, {"model": "vae", "network": "conv", "width": 32}, 1, 31),
    "wgan_digits": (plain_loops.wgan, {"model": "wgan", "width": 32, "critic_steps": 2}, 2, 101),
}


class LossRecorder(Callback):
    """Records the losses of each batch."""

    def __init__(self) -> None:
        self.losses: list[list[float]] = []

    def on_train_batch_end(
        self, trainer: Trainer, model: GenerativeModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append([*model.losses.values()])


def data_of(name: str) -> tuple[list[str], ImageDataModule]:
    """Return the arguments of the command line for the data of a case, and the data module."""
    if name.endswith("digits"):
        return ["data=digits"], Digits()
    settings = {"image_size": 32, "count": 1000, "val_count": 0}
    return ["data=shapes", *(f"data.{k}={v}" for k, v in settings.items())], Shapes(**settings)


def build(name: str, data: ImageDataModule) -> Any:
    """Build the model of a case.

    Args:
        name: A key of CASES.
        data: Determine the shape of the images.
    """
    settings = dict(CASES[name][1])
    shape = {"image_size": data.image_size, "image_channels": data.image_channels}
    cls = get_class(catalog.describe("model", settings.pop("model")).target)
    torch.manual_seed(0)
    return cls(**settings | shape)


def difference(name: str) -> float:
    """Compute the largest relative difference of the losses, from the same weights and noise.

    Both sides run in float64, because Adam's steps amplify rounding errors.

    Args:
        name: A key of CASES.
    """
    plain_loop, _, period, _ = CASES[name]
    _, data = data_of(name)
    source, count = data.source("train"), max(period, 3)
    model = build(name, data).double()
    images = data.prepare_batch(source[torch.arange(count * 8)], model)["image"]
    model_copy = copy.deepcopy(model)

    def reseeded() -> Iterator[Tensor]:
        for number, batch in enumerate(images.split(8), start=1):
            reseed(batch.device, 0, number, 0)  # as the base class does before each batch
            yield batch

    plain_losses = list(plain_loop(model_copy, reseeded()))
    recorder = LossRecorder()
    trainer = Trainer(
        max_steps=count,
        max_epochs=1,
        accelerator="cpu",
        precision="64-true",
        log_every_n_steps=1,
        callbacks=[recorder],
        **dict.fromkeys(QUIET, False),
    )
    trainer.fit(model, Batches([{"image": batch} for batch in images.split(8)]))
    pairs = [
        (a, b)
        for batch in zip(plain_losses, recorder.losses, strict=True)
        # model.losses keeps a loss until its network's next update.
        for a, b in zip(*batch, strict=False)
    ]
    return max(abs(a - b) / max(1, abs(a)) for a, b in pairs)


def per_batch(ends: Sequence[float], period: int) -> float:
    """Compute the median milliseconds per batch over all periods but the first.

    Args:
        ends: Time in seconds at the end of each batch.
        period: Number of batches in a period.
    """
    spans = [later - earlier for earlier, later in itertools.pairwise(ends[period - 1 :: period])]
    return statistics.median(spans) / period * 1e3


def time_plain_loop(name: str, batch_size: int) -> float:
    """Measure the milliseconds per batch of the plain loop.

    Args:
        name: A key of CASES.
        batch_size: Number of images in a batch.
    """
    plain_loop, _, period, periods = CASES[name]
    _, data = data_of(name)
    source = data.source("train")
    images = source[torch.arange(len(source))]["image"]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = build(name, data).to(device)
    losses = plain_loop(model, plain_loops.batches(images, batch_size, device))
    ends = [now() for _ in itertools.islice(losses, period * periods)]
    return per_batch(ends, period)


def time_zoo(name: str, batch_size: int, variant: Sequence[str]) -> float:
    """Measure the milliseconds per batch of `python -m zoo.fit`.

    Args:
        name: A key of CASES.
        batch_size: Number of images in a batch.
        variant: More settings of the command line.
    """
    _, model, period, periods = CASES[name]
    data_arguments, _ = data_of(name)
    settings = [f"model={model['model']}"]
    settings += [f"model.{key}={value}" for key, value in model.items() if key != "model"]
    settings += [*data_arguments, f"data.batch_size={batch_size}", "experiment=none"]
    settings += [f"trainer.max_steps={period * periods}", "~callbacks.metrics", *variant]
    return per_batch(zoo_batch_ends(settings), period)


def with_peak_memory(measure: Callable[[], float]) -> tuple[float, float]:
    """Return a measured time, and the peak MiB of tensors on the GPU (0 without one)."""
    if not torch.cuda.is_available():
        return measure(), 0.0
    torch.cuda.reset_peak_memory_stats()
    return measure(), torch.cuda.max_memory_allocated() / 2**20


def measure(name: str, batch_size: int, variants: dict[str, list[str]]) -> dict[str, Any]:
    """Compare the losses and the times of a case.

    Args:
        name: A key of CASES.
        batch_size: Number of images in a batch.
        variants: {name: settings of the command line} of the zoo's runs.

    Returns:
        Difference of the losses, and milliseconds per batch and peak MiB of the plain loop and of
        each variant, with the ratios of the times (speedups) of all rounds.

    Raises:
        ValueError: The losses differ.
    """
    loss_difference = difference(name)
    if loss_difference > TOLERANCE:
        raise ValueError(f"{name}: the losses of the two loops differ by {loss_difference:.1e}")
    runs = {"plain": partial(time_plain_loop, name, batch_size)}
    runs |= {key: partial(time_zoo, name, batch_size, value) for key, value in variants.items()}
    rounds = [{key: with_peak_memory(run) for key, run in runs.items()} for _ in range(ROUNDS)]
    result: dict[str, Any] = {"difference": loss_difference}
    for key in runs:
        ratios = [row["plain"][0] / row[key][0] for row in rounds]
        result[f"{key}_ms"] = statistics.median(row[key][0] for row in rounds)
        result[f"{key}_mib"] = max(row[key][1] for row in rounds)
        result |= {f"{key}_ratio": statistics.median(ratios), f"{key}_ratios": ratios}
    return result


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--compile", action="store_true", help="also measure model.compile=true")
    parser.add_argument("--json", type=Path, help="write the results to this file, too")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in CASES:
            parser.error(str(unknown("benchmark ", name, CASES)))
    silence_lightning()
    torch.set_num_threads(1)
    variants = VARIANTS | (COMPILED if arguments.compile else {})
    gpu = torch.cuda.is_available()
    print(f"{torch.cuda.get_device_name() if gpu else 'CPU'}, batch size {arguments.batch_size}\n")
    print(f"| | loss difference | plain loop, ms | {' | '.join(variants)} |")
    print("|---" * (3 + len(variants)) + "|")
    results = {}
    for name in arguments.names or CASES:
        result = results[name] = measure(name, arguments.batch_size, variants)
        cells = [f"{result['difference']:.0e}", f"{result['plain_ms']:.1f}"]
        for key in variants:
            memory = f", {result[f'{key}_mib']:.0f} MiB" if gpu else ""
            cells.append(f"{result[f'{key}_ms']:.1f} ms{memory}, {result[f'{key}_ratio']:.2f}x")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    if arguments.json:
        write_text(arguments.json, json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
