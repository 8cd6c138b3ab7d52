"""Precision, recall, density and coverage: python -m benchmarks.prdc --count 5000 10000

Ours beside the same definition with all distances in float64, of synthetic features: 2048 positive
ones with 64 independent factors and noise. Seconds are the medians of this process' CPU seconds on
one thread; both alternate. Their numbers must be equal. --without-float64 runs ours alone.
"""

import argparse
import statistics
import time

import torch
from torch import Tensor

from zoo.metrics.pairwise import squared_distances
from zoo.metrics.prdc import PRDC, prdc

FEATURES, FACTORS, BLOCK = 2048, 64, 1024


def features(count: int, seed: int, shift: float = 0.0) -> Tensor:
    """Synthetic features (count, FEATURES); both sets share the factors' weights."""
    weights = torch.randn(FACTORS, FEATURES, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    signal = torch.randn(count, FACTORS, generator=generator) @ weights / FACTORS**0.5
    noise = torch.randn(count, FEATURES, generator=generator)
    return torch.relu(signal + shift + 0.1 * noise)


def in_float64(real: Tensor, fake: Tensor) -> PRDC:
    """`prdc` with whole rows of float64 distances."""
    origin = real.mean(dim=0)

    def radii(values: Tensor, k: int) -> Tensor:  # (N, k)
        found = []
        for start in range(0, len(values), BLOCK):
            distances = squared_distances(values[start : start + BLOCK], values, origin)
            distances.diagonal(start).fill_(torch.inf)
            found.append(distances.topk(k, largest=False).values)
        return torch.cat(found)

    real_radii, fake_radii = radii(real, 5), radii(fake, 3)[:, 2]
    recalled, covered = torch.zeros(2, len(real), dtype=torch.bool)
    precise = inside = 0
    for fakes, reach in zip(fake.split(BLOCK), fake_radii.split(BLOCK), strict=True):
        distances = squared_distances(fakes, real, origin)
        precise += (distances <= real_radii[:, 2]).any(dim=1).sum().item()
        recalled |= (distances <= reach[:, None]).any(dim=0)
        within = distances < real_radii[:, 4]
        inside += within.sum().item()
        covered |= within.any(dim=0)
    shares = recalled.sum().item() / len(real), inside / (5 * len(fake))
    return PRDC(precise / len(fake), *shares, covered.sum().item() / len(real))


def compare(count: int, rounds: int, ways: tuple) -> list[float]:
    """The medians of the CPU seconds of ways to compute `prdc`, whose results must be equal."""
    real, fake = features(count, 1), features(count, 2, 0.05)
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        results = []
        for way, times in zip(ways, seconds, strict=True):
            began = time.process_time()
            results.append(way(real, fake))
            times.append(time.process_time() - began)
        if len(set(results)) != 1:
            raise SystemExit(f"the results differ: {results}")
    return [statistics.median(times) for times in seconds]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, nargs="+", default=[5000, 10_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-float64", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    ways = (prdc,) if args.without_float64 else (in_float64, prdc)
    print("| samples | float64, seconds | ours, seconds | ratio |\n|---|---|---|---|")
    for count in args.count:
        *theirs, ours = compare(count, args.rounds, ways)
        other, ratio = (f"{theirs[0]:.1f}", f"{theirs[0] / ours:.2f}") if theirs else ("", "")
        print(f"| {count:,} | {other} | {ours:.1f} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
