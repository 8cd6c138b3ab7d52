"""Measure precision, recall, density and coverage: python -m benchmarks.prdc --count 5000 10000

The zoo's implementation is compared with one that computes all distances in float64. The 2,048
features are synthetic: positive, with 64 independent factors and noise. Both run in alternation on
one thread, and seconds are medians of this process's CPU seconds. The results must be equal.
--without-float64 measures only the zoo's implementation.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from zoo.metrics.pairwise import squared_distances
from zoo.metrics.prdc import PRDC, prdc

FEATURES, FACTORS, BLOCK = 2048, 64, 1024


def features(count: int, seed: int, shift: float = 0.0) -> Tensor:
    """Generate synthetic features. The weights of the factors do not depend on the seed.

    Args:
        count: Number of samples.
        seed: Seed of factors and noise.
        shift: Added to the signal.

    Returns:
        (count, FEATURES).
    """
    weights = torch.randn(FACTORS, FEATURES, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    signal = torch.randn(count, FACTORS, generator=generator) @ weights / FACTORS**0.5
    noise = torch.randn(count, FEATURES, generator=generator)
    return torch.relu(signal + shift + 0.1 * noise)


def in_float64(real: Tensor, fake: Tensor) -> PRDC:
    """Compute `prdc` from float64 distances.

    Args:
        real: Features (N, F) of real samples.
        fake: Features (M, F) of generated samples.
    """
    origin = real.mean(dim=0)

    def radii(values: Tensor, k: int) -> Tensor:  # (N, k)
        parts = []
        for start in range(0, len(values), BLOCK):
            distances = squared_distances(values[start : start + BLOCK], values, origin)
            distances.diagonal(start).fill_(torch.inf)
            parts.append(distances.topk(k, largest=False).values)
        return torch.cat(parts)

    real_radii, fake_radii = radii(real, 5), radii(fake, 3)[:, 2]
    recalled, covered = torch.zeros(2, len(real), dtype=torch.bool)
    precise = inside = 0.0
    for fakes, radius in zip(fake.split(BLOCK), fake_radii.split(BLOCK), strict=True):
        distances = squared_distances(fakes, real, origin)
        precise += (distances <= real_radii[:, 2]).any(dim=1).sum().item()
        recalled |= (distances <= radius[:, None]).any(dim=0)
        within = distances < real_radii[:, 4]
        inside += within.sum().item()
        covered |= within.any(dim=0)
    shares = recalled.sum().item() / len(real), inside / (5 * len(fake))
    return PRDC(precise / len(fake), *shares, covered.sum().item() / len(real))


def compare(
    count: int, rounds: int, functions: Sequence[Callable[[Tensor, Tensor], PRDC]]
) -> list[float]:
    """Measure functions that compute `prdc`.

    Args:
        count: Number of real and of generated samples.
        rounds: Number of alternating rounds.
        functions: The functions, whose results must be equal.

    Returns:
        Median CPU seconds of each function.
    """
    real, fake = features(count, 1), features(count, 2, 0.05)
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        results = []
        for function, times in zip(functions, seconds, strict=True):
            started = time.process_time()
            results.append(function(real, fake))
            times.append(time.process_time() - started)
        if len(set(results)) != 1:
            raise SystemExit(f"the results differ: {results}")
    return [statistics.median(times) for times in seconds]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, nargs="+", default=[5000, 10_000], help="samples")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each function")
    parser.add_argument("--without-float64", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    functions = (prdc,) if args.without_float64 else (in_float64, prdc)
    print("| samples | float64, seconds | zoo, seconds | speedup |\n|---|---|---|---|")
    for count in args.count:
        *float64, zoo = compare(count, args.rounds, functions)
        reference = f"{float64[0]:.1f}" if float64 else ""
        speedup = f"{float64[0] / zoo:.2f}" if float64 else ""
        print(f"| {count:,} | {reference} | {zoo:.1f} | {speedup} |", flush=True)


if __name__ == "__main__":
    main()
