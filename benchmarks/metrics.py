"""Compare FID with other tools: python -m benchmarks.metrics FOLDER

FOLDER contains images. `--count` of them are the real images, and the same number of others,
blurred, are the fake images. All tools measure the same files with the same Inception network. Its
weights are random, because agreement does not need trained weights. Each run is a process with one
thread, and the tools alternate. Seconds are medians of CPU seconds over `--rounds`, from the built
(and compiled) network to the FID.

Needs torch-fidelity, torchmetrics, pytorch-fid and scipy:
python -m pip install pytorch-fid "scipy<1.18"
"""

import argparse
import hashlib
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from PIL import Image
from torchvision.transforms.v2.functional import gaussian_blur, pil_to_tensor

from benchmarks.fid_tools import TOOLS, write_random_weights
from zoo.atomic_files import write_text
from zoo.media.images import save_png
from zoo.metrics.frechet import Moments, trace_of_root

NEEDED = ("torch_fidelity", "torchmetrics", "pytorch_fid", "scipy")
TRACE_SAMPLES, TRACE_FEATURES = 10_000, 2048

Numbers = dict[str, float]


def measure(tool: str, folder: str) -> Numbers:
    """Run a tool in this process.

    Args:
        tool: A key of TOOLS.
        folder: Contains `real`, `fake` and `weights.pth`, see `prepare`.

    Returns:
        FID, times in seconds, images per second and memory in MiB.
    """
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # all tools warn that few samples bias the distance
    weights = str(Path(folder, "weights.pth"))
    sha256 = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    folders = [str(Path(folder, name)) for name in ("real", "fake")]
    steps = TOOLS[tool](folders, weights, sha256)
    next(steps)
    started = time.process_time()
    next(steps)
    statistics_ready = time.process_time()
    fid = next(steps)
    assert fid is not None
    ended = time.process_time()
    images = sum(len(list(Path(f).glob("*.png"))) for f in folders)
    return {
        "fid": fid,
        "seconds": ended - started,
        "images_per_second": images / (statistics_ready - started),
        "distance_seconds": ended - statistics_ready,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def trace_of_roots(rounds: int) -> dict[str, Numbers]:
    """Measure tr (Σ1 Σ2)^½ with the method of each tool, on one thread.

    Args:
        rounds: Number of alternating rounds.

    Returns:
        {method: {value, seconds}}, medians of the rounds.
    """
    import numpy as np
    import scipy.linalg

    generator = torch.Generator().manual_seed(0)
    shape = (TRACE_FEATURES, TRACE_FEATURES)
    first, second = (
        Moments.of(
            torch.randn(TRACE_SAMPLES, TRACE_FEATURES, generator=generator)
            @ torch.randn(shape, generator=generator).div(math.sqrt(TRACE_FEATURES))
        )
        for _ in range(2)
    )
    product = first.covariance @ second.covariance
    cached = Moments(TRACE_FEATURES, first.state, first.root)
    methods: dict[str, Callable[[], float]] = {
        "scipy sqrtm (pytorch-fid)": lambda: scipy.linalg.sqrtm(product.numpy()).real.trace(),
        "numpy eigvals (torch-fidelity)": lambda: np.sqrt(
            np.linalg.eigvals(product.numpy()).astype(complex)
        ).real.sum(),
        "torch eigvals (torchmetrics)": lambda: (
            torch.linalg.eigvals(product).sqrt().real.sum().item()
        ),
        "zoo, new reference": lambda: trace_of_root(
            Moments(TRACE_FEATURES, first.state), second
        ).item(),
        "zoo, cached root of the reference": lambda: trace_of_root(cached, second).item(),
    }
    runs = [{name: _timed(method) for name, method in methods.items()} for _ in range(rounds)]
    return {name: _median([run[name] for run in runs]) for name in methods}


def _timed(function: Callable[[], float]) -> Numbers:
    started = time.process_time()
    value = float(function())
    return {"value": value, "seconds": time.process_time() - started}


def _median(runs: Sequence[Numbers]) -> Numbers:
    """Return the median of each number over the runs."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def prepare(images: str | Path, count: int, folder: str | Path) -> None:
    """Write the weights, the real images and the fake (blurred) images.

    Args:
        images: Folder of images, searched to any depth.
        count: Number of real and of fake images.
        folder: Where `real`, `fake` and `weights.pth` are written.
    """
    write_random_weights(Path(folder, "weights.pth"))
    files = sorted(f for f in Path(images).rglob("*") if f.suffix in (".png", ".jpg", ".jpeg"))
    if len(files) < 2 * count:
        raise SystemExit(f"{images} contains {len(files)} images, {2 * count} are needed")
    order = torch.randperm(len(files), generator=torch.Generator().manual_seed(0))
    for number, position in enumerate(order[: 2 * count].tolist()):
        image = pil_to_tensor(Image.open(files[position]).convert("RGB"))
        if number < count:
            save_png(image, Path(folder, "real", f"{number}.png"))
        else:
            save_png(gaussian_blur(image, [3, 3], 0.7), Path(folder, "fake", f"{number}.png"))


def run_alone(tool: str, folder: str) -> Numbers:
    """Call `measure` in a separate process.

    Args:
        tool: A key of TOOLS.
        folder: See `prepare`.

    Returns:
        See `measure`.
    """
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.metrics", folder, "--tool", tool]
    process = subprocess.run(command, env=os.environ | threads, capture_output=True, text=True)
    if process.returncode:
        raise SystemExit(f"{tool}:\n{process.stderr}")
    numbers = json.loads(process.stdout.splitlines()[-1])
    print(f"{tool}: {numbers}", file=sys.stderr)
    return numbers


def report(tools: dict[str, Numbers], traces: dict[str, Numbers]) -> Iterator[str]:
    """Format the results as Markdown tables.

    Args:
        tools: Numbers of each tool.
        traces: Numbers of each method of `trace_of_roots`.

    Yields:
        Lines.
    """
    baseline = tools["pytorch-fid"]["seconds"]
    yield (
        "| tool | FID | seconds | images/s | distance only, seconds | peak MiB "
        "| speedup over pytorch-fid |"
    )
    yield "|---|---|---|---|---|---|---|"
    for name, t in tools.items():
        yield (
            f"| {name} | {t['fid']:.6f} | {t['seconds']:.1f} | {t['images_per_second']:.1f} "
            f"| {t['distance_seconds']:.2f} | {t['peak_mib']:.0f} "
            f"| {baseline / t['seconds']:.2f}x |"
        )
    slowest = traces["scipy sqrtm (pytorch-fid)"]
    yield ""
    yield "| tr (Σ1 Σ2)^½, 2048 features | seconds | against sqrtm | relative difference |"
    yield "|---|---|---|---|"
    for name, t in traces.items():
        difference = abs(t["value"] / slowest["value"] - 1)
        ratio = slowest["seconds"] / t["seconds"]
        yield f"| {name} | {t['seconds']:.2f} | {ratio:.1f}x | {difference:.0e} |"


def main() -> None:
    """Measure all tools and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", help="images (PNG or JPEG), searched to any depth")
    parser.add_argument(
        "--count", type=int, default=200, help="number of real images, and of fake ones"
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each tool")
    parser.add_argument("--json", help="also write the results here")
    parser.add_argument("--tool", choices=TOOLS, help=argparse.SUPPRESS)  # used by run_alone
    args = parser.parse_args()
    missing = [name.replace("_", "-") for name in NEEDED if find_spec(name) is None]
    if missing:
        raise SystemExit(f"missing: python -m pip install {' '.join(missing)}")
    if args.tool:
        print(json.dumps(measure(args.tool, args.folder)))
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        prepare(args.folder, args.count, folder)
        runs = [{tool: run_alone(tool, folder) for tool in TOOLS} for _ in range(args.rounds)]
    tools = {tool: _median([run[tool] for run in runs]) for tool in TOOLS}
    traces = trace_of_roots(args.rounds)
    print("\n".join(report(tools, traces)))
    if args.json:
        write_text(args.json, json.dumps({"tools": tools, "traces": traces}, indent=2))


if __name__ == "__main__":
    main()
