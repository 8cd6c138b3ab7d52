"""Measure training in several processes: python -m benchmarks.scaling [--processes N]

Trains models on ready batches of 32x32 color images in one process and in N processes, with one CPU
thread (gloo) or GPU (NCCL) each. In weak scaling, each process has the batch size of the single
process. In strong scaling, the processes divide this batch. zoo.engine.gradient_sync.TurnStrategy
is compared with Lightning's ddp_find_unused_parameters_true. Times are medians of wall-clock time.

Bytes sent are those of all all-reduces that the profiler records, per batch and process. Bytes
needed are those of the gradients of the updated networks.
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
from typing import Any, Literal

import torch
from hydra.utils import get_class
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch.profiler import ProfilerActivity, profile

from benchmarks.overhead import Batches
from zoo.atomic_files import write_text
from zoo.base import GenerativeModule
from zoo.config import catalog
from zoo.engine.gradient_sync import TurnStrategy

# {model: (its settings, batches per generator update)}
CASES: dict[str, tuple[dict[str, Any], int]] = {
    "wgan": ({"width": 32}, 5),
    "wgan_gp": ({"network": "dcgan_no_norm", "width": 32, "dequantize": False}, 5),
    "dcgan": ({"width": 32}, 1),
}
PERIODS = 8  # timed, after one period that is not timed and before one that is profiled
FLOAT = 4  # bytes


class Report(Callback):
    """Writes {"ms", "sent"}, milliseconds and bytes per batch of the first process, to a file.

    Args:
        path: The file.
        period: Number of batches per generator update.
    """

    def __init__(self, path: Path, period: int):
        self.path = path
        self.period = period
        self.profile = profile(activities=[ProfilerActivity.CPU], record_shapes=True)
        self.ends: list[float] = []

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
        result = {"ms": statistics.median(spans) / self.period * 1e3, "sent": sent / self.period}
        if trainer.global_rank == 0:
            write_text(self.path, json.dumps(result))


def build(name: str) -> Any:
    """Build a model.

    Args:
        name: A key of CASES.
    """
    seed_everything(0, verbose=False)
    settings = {"image_size": 32, "image_channels": 3} | CASES[name][0]
    return get_class(catalog.describe("model", name).target)(**settings)


def run(
    name: str, images: int, strategy: str | Strategy = "auto", processes: int = 1
) -> dict[str, float]:
    """Train and measure.

    Args:
        name: A key of CASES.
        images: Number of images per batch in each process.
        strategy: The Trainer's strategy.
        processes: Number of processes.

    Returns:
        {ms, sent}, see Report.
    """
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


def strategies() -> dict[str, Strategy]:
    """Return new strategies by name."""
    # CUDA forbids forks; without a GPU they start faster.
    method: Literal["spawn", "fork"] = "spawn" if torch.cuda.is_available() else "fork"
    ddp = DDPStrategy(find_unused_parameters=True, start_method=method)
    return {"turns": TurnStrategy(start_method=method), "ddp_find_unused_parameters_true": ddp}


def needed(name: str) -> float:
    """Compute the bytes per batch of the gradients of the updated networks.

    Args:
        name: A key of CASES.
    """
    model = build(name)
    adversary = getattr(model, "critic", None) or model.discriminator
    players = (adversary, 1), (model.generator, CASES[name][1])
    return sum(FLOAT * sum(p.numel() for p in net.parameters()) / every for net, every in players)


def measure(name: str, images: int, processes: int) -> list[dict[str, Any]]:
    """Measure weak and strong scaling with each strategy.

    Args:
        name: A key of CASES.
        images: Number of images per batch in the single process.
        processes: Number of processes.

    Returns:
        A row for each kind of scaling and strategy.
    """
    rows, needed_bytes = [], needed(name)
    for scaling, batch_size in (("weak", images), ("strong", images // processes)):
        for strategy, instance in strategies().items():
            single = run(name, images)
            multi = run(name, batch_size, instance, processes)
            speedup = single["ms"] / multi["ms"] * batch_size * processes / images
            rows.append({
                "model": name, "scaling": scaling, "strategy": strategy, "images": batch_size,
                "single_ms": single["ms"], "ms": multi["ms"], "efficiency": speedup / processes,
                "sent": multi["sent"], "needed": needed_bytes,
            })  # fmt: skip
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2, help="number of processes")
    parser.add_argument("--images", type=int, default=64, help="batch size of the single process")
    parser.add_argument("--json", type=Path, help="write the results to this file, too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    rows = []
    print("| model | scaling | strategy | 1 process, ms | N processes, ms ", end="")
    print("| efficiency | MB sent | MB needed | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in CASES:
        for row in measure(name, arguments.images, arguments.processes):
            rows.append(row)
            sent, needed_mb = row["sent"] / 1e6, row["needed"] / 1e6
            print(
                f"| {name} | {row['scaling']} | {row['strategy']} | {row['single_ms']:.1f} | "
                f"{row['ms']:.1f} | {row['efficiency']:.2f} | {sent:.2f} | "
                f"{needed_mb:.2f} | {sent / needed_mb:.2f} |",
                flush=True,
            )
    if arguments.json:
        write_text(arguments.json, json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
