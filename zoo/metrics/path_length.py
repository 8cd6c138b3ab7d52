"""Perceptual path length (Karras, Laine, Aila 2019, arXiv 1812.04948, section 4.1)."""

from typing import Any

import torch

from zoo.engine.conditions import conditions_of
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
    """Measure how much features change along paths between latents. Call it in `evaluating`.

    A step begins at a random position of a straight line between two latents of the prior. Both of
    its images have the same condition and noise. They are not rounded to uint8, which would hide
    the step.

    Args:
        model: A model with a `prior`.
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
    found = []
    with exact_float32():
        for chunk, start in enumerate(range(0, count, CHUNK)):
            size = min(CHUNK, count - start)
            condition = conditions_of(model, data, size, start, split) or {}
            reseed(model.device, seed, "paths", chunk)
            begin, end = model.prior(size), model.prior(size)  # (N, Z)
            at = torch.rand(size, 1, device=model.device)
            steps = []
            for position in (at, at + STEP):
                reseed(model.device, seed, "noise of paths", chunk)
                condition["latent"] = torch.lerp(begin, end, position)
                pixels = (model.sample(size, condition).float() + 1) * 127.5
                steps.append(extractor.float_features(pixels).flatten(1).double())  # (N, F)
            found.append((steps[1] - steps[0]).square().sum(dim=1).cpu() / STEP**2)
    lengths = torch.cat(found).sort().values
    cut = int(DISCARD * count)
    name = f"ppl_linear_{extractor.name}_{count_name(count)}"
    return {name: lengths[cut : count - cut].mean().item()}
