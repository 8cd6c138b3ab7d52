"""Our FID beside the others' tools: python -m benchmarks.metrics FOLDER

FOLDER holds images, of which `--count` are taken as real and as many others, blurred, as fake.
Every tool measures the same files with the same Inception network, of random weights: an agreement
of numbers needs no training. Each run is a process of its own with one thread; the tools alternate,
and seconds are the medians of a process' CPU seconds over `--rounds`. They begin when the network
is built (and compiled) and end with the number.

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
from importlib.util import find_spec
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur, pil_to_tensor

from benchmarks.fid_tools import TOOLS, write_random_weights
from zoo.atomic_files import write_text
from zoo.media.images import save_png
from zoo.metrics.frechet import Moments, trace_of_root

NEEDED = ("torch_fidelity", "torchmetrics", "pytorch_fid", "scipy")
TRACE_SAMPLES, TRACE_FEATURES = 10_000, 2048


def measure(tool: str, folder: Path):
    """One run of a tool on FOLDER/real and FOLDER/fake, in this process."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # all say that so few samples bias the distance
    weights = str(Path(folder, "weights.pth"))
    sha256 = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    folders = [str(Path(folder, name)) for name in ("real", "fake")]
    steps = TOOLS[tool](folders, weights, sha256)
    next(steps)
    began = time.process_time()
    next(steps)
    described = time.process_time()
    fid = next(steps)
    ended = time.process_time()
    images = sum(len(list(Path(f).glob("*.png"))) for f in folders)
    return {
        "fid": fid,
        "seconds": ended - began,
        "images_per_second": images / (described - began),
        "distance_seconds": ended - described,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def trace_of_roots(rounds):
    """CPU seconds, and the value, of tr (Σ1 Σ2)^½ by what each tool does; one thread."""
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
    kept = Moments(TRACE_FEATURES, first.state, first.root)
    ways = {
        "scipy sqrtm (pytorch-fid)": lambda: scipy.linalg.sqrtm(product.numpy()).real.trace(),
        "numpy eigvals (torch-fidelity)": lambda: np.sqrt(
            np.linalg.eigvals(product.numpy()).astype(complex)
        ).real.sum(),
        "torch eigvals (torchmetrics)": lambda: (
            torch.linalg.eigvals(product).sqrt().real.sum().item()
        ),
        "ours": lambda: trace_of_root(Moments(TRACE_FEATURES, first.state), second).item(),
        "ours, the reference's root kept": lambda: trace_of_root(kept, second).item(),
    }
    runs = [{way: _timed(run) for way, run in ways.items()} for _ in range(rounds)]
    return {way: _median([run[way] for run in runs]) for way in ways}


def _timed(run):
    began = time.process_time()
    value = float(run())
    return {"value": value, "seconds": time.process_time() - began}


def _median(runs):
    """The median of each number of some runs."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def prepare(images: Tensor, count: int, folder: Path):
    """Writes the weights and 2 x `count` images, as they are and blurred, as PNG files."""
    write_random_weights(Path(folder, "weights.pth"))
    files = sorted(f for f in Path(images).rglob("*") if f.suffix in (".png", ".jpg", ".jpeg"))
    if len(files) < 2 * count:
        raise SystemExit(f"{images} holds {len(files)} images, {2 * count} are needed")
    order = torch.randperm(len(files), generator=torch.Generator().manual_seed(0))
    for number, position in enumerate(order[: 2 * count].tolist()):
        image = pil_to_tensor(Image.open(files[position]).convert("RGB"))
        if number < count:
            save_png(image, Path(folder, "real", f"{number}.png"))
        else:
            save_png(gaussian_blur(image, [3, 3], 0.7), Path(folder, "fake", f"{number}.png"))


def run_alone(tool: str, folder: Path):
    """`measure` in a process of its own."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.metrics", folder, "--tool", tool]
    done = subprocess.run(command, env=os.environ | threads, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{tool}:\n{done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{tool}: {found}", file=sys.stderr)
    return found


def report(tools, traces):
    """The tables, in Markdown."""
    theirs = tools["pytorch-fid"]["seconds"]
    yield "| tool | FID | seconds | images/s | distance, seconds | peak MiB | against pytorch-fid |"
    yield "|---|---|---|---|---|---|---|"
    for name, t in tools.items():
        yield (
            f"| {name} | {t['fid']:.6f} | {t['seconds']:.1f} | {t['images_per_second']:.1f} "
            f"| {t['distance_seconds']:.2f} | {t['peak_mib']:.0f} | {theirs / t['seconds']:.2f}x |"
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", help="images (PNG or JPEG), searched to any depth")
    parser.add_argument("--count", type=int, default=200, help="images of each kind")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="a file for the numbers")
    parser.add_argument("--tool", choices=TOOLS, help=argparse.SUPPRESS)  # what run_alone asks for
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
