"""One process and two: python -m benchmarks.scaling [--processes N] [--images N] [--json FILE]

Trains models on the same ready batches of 32x32 color images in one process and in N, on as many
CPU threads (gloo) or GPUs (NCCL): weak, where each process has as many images as the one alone, and
strong, where they share them. Compares zoo.engine.gradient_sync.TurnStrategy with Lightning's
ddp_find_unused_parameters_true. Prints a table; times are medians of the wall.

Bytes are those of all all-reduces of a period, which the profiler has seen, a batch and process;
needed are those of the gradients of the players that moved.
"""

import argparse
import itertools
import json
import logging
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_class
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.overhead import Batches
from zoo.atomic_files import write_text
from zoo.base import GenerativeModule
from zoo.config import catalog
from zoo.engine.gradient_sync import TurnStrategy

# The model, its settings, and the batches to a move of the generator.
CASES = {
    "wgan": ({"width": 32}, 5),
    "wgan_gp": ({"network": "dcgan_no_norm", "width": 32, "dequantize": False}, 5),
    "dcgan": ({"width": 32}, 1),
}
PERIODS = 8  # that are timed, after one that is not and before one that is profiled
FLOAT = 4  # bytes


class Report(Callback):
    """Writes {"ms": a batch, "sent": bytes a batch} of the first process to a file."""

    def __init__(self, path, period):
        self.path = path
        self.period = period
        self.profile = profile(activities=[ProfilerActivity.CPU], record_shapes=True)
        self.ends = []

    def on_train_batch_start(
        self, trainer: Trainer, model: GenerativeModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == (1 + PERIODS) * self.period:
            self.profile.start()

    def on_train_batch_end(
        self, trainer: Trainer, model: GenerativeModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())

    def on_train_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.profile.stop()
        ends = self.ends[self.period - 1 : (1 + PERIODS) * self.period : self.period]
        spans = [later - earlier for earlier, later in itertools.pairwise(ends)]
        sent = sum(
            FLOAT * math.prod(shape)
            for event in self.profile.events()
            if event.name in ("gloo:all_reduce", "nccl:all_reduce")
            for shape in event.input_shapes
        )
        found = {"ms": statistics.median(spans) / self.period * 1e3, "sent": sent / self.period}
        if trainer.global_rank == 0:
            write_text(self.path, json.dumps(found))


def build(name: str):
    seed_everything(0, verbose=False)
    settings = {"image_size": 32, "image_channels": 3} | CASES[name][0]
    return get_class(catalog.describe("model", name).target)(**settings)


def run(name: str, images: Tensor, strategy="auto", processes=1):
    """What Report says of `images` in each process."""
    period = CASES[name][1]
    batches = [{"image": torch.rand(images, 3, 32, 32) * 2 - 1}] * (2 + PERIODS) * period
    with tempfile.TemporaryDirectory() as folder:
        report = Report(Path(folder, "report.json"), period)
        Trainer(
            devices=processes,
            strategy=strategy,
            max_epochs=1,
            logger=False,
            callbacks=[report],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        ).fit(build(name), Batches(batches))
        return json.loads(report.path.read_text())


def strategies():
    """{name: a new strategy}; processes are forked where there is no GPU, which forbids it."""
    method = "spawn" if torch.cuda.is_available() else "fork"
    unused = DDPStrategy(find_unused_parameters=True, start_method=method)
    return {"turns": TurnStrategy(start_method=method), "ddp, unused found": unused}


def needed(name: str):
    """Bytes a batch of the gradients of those that move."""
    model = build(name)
    adversary = getattr(model, "critic", None) or model.discriminator
    players = (adversary, 1), (model.generator, CASES[name][1])
    return sum(FLOAT * sum(p.numel() for p in net.parameters()) / every for net, every in players)


def measure(name: str, images: Tensor, processes):
    """A row for each strategy and sort of scaling."""
    rows, need = [], needed(name)
    for sort, each in (("weak", images), ("strong", images // processes)):
        for strategy, instance in strategies().items():
            alone = run(name, images)
            found = run(name, each, instance, processes)
            speedup = alone["ms"] / found["ms"] * each * processes / images
            rows.append({
                "model": name, "scaling": sort, "strategy": strategy, "images": each,
                "alone_ms": alone["ms"], "ms": found["ms"], "efficiency": speedup / processes,
                "sent": found["sent"], "needed": need,
            })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--images", type=int, default=64, help="of the process alone, a batch")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    rows = []
    print("| model | scaling | strategy | alone, ms | ms | efficiency | MB sent | needed | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in CASES:
        for row in measure(name, arguments.images, arguments.processes):
            rows.append(row)
            sent, need = row["sent"] / 1e6, row["needed"] / 1e6
            print(
                f"| {name} | {row['scaling']} | {row['strategy']} | {row['alone_ms']:.1f} | "
                f"{row['ms']:.1f} | {row['efficiency']:.2f} | {sent:.2f} | {need:.2f} | "
                f"{sent / need:.2f} |",
                flush=True,
            )
    if arguments.json:
        write_text(arguments.json, json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
