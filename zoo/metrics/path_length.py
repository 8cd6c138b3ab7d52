"""Perceptual path length (Karras, Laine, Aila 2019, arXiv 1812.04948, section 4.1)."""

from typing import Any

import torch
from torch import Tensor

from zoo.engine.conditions import conditions_of
from zoo.engine.distributed import interleave, on_all_ranks, rank_and_world_size
from zoo.engine.sampling import CHUNK
from zoo.engine.seeds import reseed
from zoo.metrics.compute import count_name
from zoo.precision import exact_float32

# torchmetrics' PerceptualPathLength is not used: it needs downloaded weights of a VGG network,
# draws with an unseeded generator, and measures at the ends of the paths only.

STEP = 1e-4  # epsilon of the paper, of a path of length 1
DISCARD = 0.01  # share of the shortest and of the longest steps, as in the authors' code


def path_length(
    model: Any, data: Any, extractor: Any, count: int, seed: int, split: str = "test"
) -> dict[str, float]:
    """Measure how much features change along paths between latents.

    Call it in `evaluating`, on every process: they share the steps, and return the same number.

    Args:
        model: A model with a `prior`. If a part of its latents is discrete, it defines
            with_discrete_part(latents, others), which returns latents (N, Z) with that of others.
        data: The data module, for conditions.
        extractor: A feature extractor with `float_features`, instead of the paper's VGG network.
        count: Number of steps.
        seed: Seed of latents, positions and noise.
        split: Split of the data from which conditions are taken.

    Returns:
        {ppl_linear_EXTRACTOR_COUNT: number}, the mean squared distance of the features of a step,
        divided by the squared length of the step. The smallest and the largest hundredth are
        discarded.
    """
    rank, world_size = rank_and_world_size()
    starts = range(0, count, CHUNK)
    sizes = [min(CHUNK, count - start) for start in starts]

    def own_lengths() -> list[Tensor]:
        found = [torch.empty(0, 1, dtype=torch.float64)]  # for a process without steps
        for chunk in range(rank, len(sizes), world_size):
            condition = conditions_of(model, data, sizes[chunk], starts[chunk], split) or {}
            reseed(model.device, seed, "paths", chunk)
            found.append(step_lengths(model, extractor, sizes[chunk], condition, (seed, chunk)))
        return found

    with exact_float32():
        mine = on_all_ranks(own_lengths)  # if one process fails, all raise
    lengths = interleave(mine, sizes, model.device).flatten().sort().values
    cut = int(DISCARD * count)
    name = f"ppl_linear_{extractor.name}_{count_name(count)}"
    return {name: lengths[cut : count - cut].mean().item()}


def step_lengths(
    model: Any, extractor: Any, count: int, condition: dict[str, Tensor], key: tuple[int, int]
) -> Tensor:
    """Return squared distances (N, 1) of the features of random steps, per squared length.

    A step begins at a random position of a straight line between two latents of the prior. Both of
    its images have the same condition and noise. They are not rounded to uint8, which would hide
    the step. A discrete part of the latents is that of the beginning along the whole line.

    Args:
        model: See `path_length`.
        extractor: See `path_length`.
        count: Number N of steps.
        condition: Their conditions.
        key: Seed of the images' noise.
    """
    begin, end = model.prior(count), model.prior(count)  # (N, Z)
    if hasattr(model, "with_discrete_part"):
        end = model.with_discrete_part(end, begin)
    at = torch.rand(count, 1, device=model.device)
    features = []
    for position in (at, at + STEP):
        reseed(model.device, key[0], "noise of paths", key[1])
        latent = torch.lerp(begin, end, position)
        pixels = (model.sample(count, condition | {"latent": latent}).float() + 1) * 127.5
        features.append(extractor.float_features(pixels).flatten(1).double())  # (N, F)
    return (features[1] - features[0]).square().sum(dim=1, keepdim=True).cpu() / STEP**2
