"""Likelihoods, averaged exactly over samples from sums of nats and counts.

The name of a number contains its kind:

    exact                 -log p(x), computed by the model (an autoregressive one)
    bound                 -ELBO, or a continuous density of dequantized pixels
    iwae_<k>              a bound from k weighted samples
    ais_forward_<k>       with log Z estimated by annealed importance sampling in k steps from a
                          simple density: too low on average (see zoo.metrics.ais)
    ais_reverse_<k>       from samples of the model: too high on average
    given_<y>             -log p(x | y), computed exactly by a conditional model
    bound_given_<y>       a bound on -log p(x | y); also iwae_<k>_given_<y>
    given_code            a decoder's -log p(x | h(x)), which is not a likelihood of x

A conditional likelihood is never called exact, because y can contain much information about x, or
be a function of x, such as the loudness of audio. Compare only numbers of the same kind.
Likelihoods of binarized images are comparable only for the same binarization.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from zoo.engine.distributed import on_all_ranks, rank_and_world_size
from zoo.engine.loader import KeyedLoader, Subset
from zoo.engine.sampling import CHUNK
from zoo.engine.seeds import keyed_permutation, reseed
from zoo.precision import widest

BOUND = r"(bound|iwae_[1-9]\d*)"
AIS = r"ais_(forward|reverse)_[1-9]\d*"
KINDS = rf"exact|({BOUND}_)?given_[a-z0-9_]+|{BOUND}|{AIS}"


def bits_per_dim(nll: Any, dimensions: int) -> Any:
    """Convert nats of whole images to bits per sub-pixel, nats / (D ln 2)."""
    return nll / (dimensions * math.log(2))


def iwae(log_weights: Tensor) -> Tensor:
    """Compute the importance-weighted bound on log p(x), (N,) in nats and float64.

    For k = 1 its mean is the ELBO. It increases with k toward log p(x). Burda et al. 2016 (arXiv
    1509.00519), section 3.

    Args:
        log_weights: log p(x, z) - log q(z | x) for k samples z ~ q(z | x), (k, N).
    """
    log_weights = log_weights.to(widest(log_weights.device))
    return log_weights.logsumexp(dim=0) - math.log(len(log_weights))


def discrete_nll(nll: Any, dimensions: int, bin_width: float) -> Any:
    """Convert nats of a density at dequantized pixels to nats of integer gray levels.

    In each dimension of x, a level is a bin of width `bin_width`, and the dequantization noise is
    uniform over the bin. The probability of a level is the integral of the density over its bin, so
    the result, nats - D ln(bin_width), does not depend on the scale of x.

    The result is an upper bound (kind "bound"). By Jensen's inequality, the mean log-density in a
    bin is at most the log of the mean (Theis et al. 2016, arXiv 1511.01844, section 3.1). Without
    the noise, a density of pixels has no upper limit, so it is not a likelihood.

    Args:
        nll: -log p(x), a number or a tensor.
        dimensions: Number D of dimensions of x.
        bin_width: 1/256 for x = (level + u) / 256, and 2/255 for images in [-1, 1] with noise in
            (-1/255, 1/255).
    """
    return nll - dimensions * math.log(bin_width)


class Nats(Metric):
    """Mean negative log-likelihood of a sample, in nats, as a float64 scalar.

    It does not depend on the batches or on the number of processes. Some processes may have no
    samples.

    Args:
        kind: Kind of the likelihood, a part of `name`. See the module's docstring.
    """

    full_state_update = False
    higher_is_better = False
    unit = "nats"
    total: Tensor
    count: Tensor

    def __init__(self, kind: str):
        super().__init__()
        if not re.fullmatch(KINDS, kind):
            raise ValueError(
                f"kind={kind!r} must be exact, bound, iwae_<k> such as iwae_5000, "
                "ais_forward_<k>, ais_reverse_<k>, given_<condition>, or a bound followed by "
                "_given_<condition>"
            )
        self.name = f"{self.unit}_{kind}"
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, nll: Tensor) -> None:
        """Add negative log-likelihoods (N,), one per sample; N may be 0."""
        if nll.dim() != 1:
            raise ValueError(f"{self.name} takes nats (N,) of samples, got {tuple(nll.shape)}")
        self.total += nll.detach().double().sum()
        self.count += len(nll)

    def compute(self) -> Tensor:
        """Return the mean.

        Raises:
            ValueError: There is no sample, or a value was NaN.
        """
        # Not in update: after the reduction every rank raises, so no rank waits for others.
        if self.count == 0:
            raise ValueError(f"{self.name} has no samples: call update first")
        if self.total.isnan():
            raise ValueError(f"{self.name}: a likelihood is NaN")
        return self.total / self.count

    def _apply(self, fn: Callable, exclude_state: Sequence[str] = ()) -> Any:
        # torchmetrics protects its states from half() and float(), but not from to(dtype).
        return super()._apply(lambda state: state.to(fn(state).device), exclude_state)


class BitsPerDim(Nats):
    """Mean negative log-likelihood in bits per dimension.

    Args:
        kind: See `Nats`.
        dimensions: C * H * W.
    """

    unit = "bits_per_dim"

    def __init__(self, kind: str, dimensions: int):
        super().__init__(kind)
        if dimensions < 1:
            raise ValueError(f"dimensions={dimensions} must be at least 1")
        self.dimensions = dimensions

    def compute(self) -> Tensor:
        return bits_per_dim(super().compute(), self.dimensions)


def likelihoods(
    model: Any, data: Any, split: str, seed: int = 0, most: int | None = None
) -> dict[str, float]:
    """Measure nats and bits per dimension of a split, on every process.

    Call this in `evaluating`. Random numbers of a batch are keyed by the seed and the batch.

    Args:
        model: Has `nll(batch)`, (N,) nats, and `likelihood_kind`, or `estimates()`, which returns
            {kind: function of a batch} and may draw random numbers. These functions get only the
            keys in `needs`. The first key is scored. The others are conditions, which become part
            of the kind. A model that is conditioned on a part of each sample has
            `condition_parts`, the names of the parts, and `dimensions`, the number of remaining
            dimensions. The number of levels is its attribute or hyperparameter `num_levels`.
        data: The data module.
        split: "val" or "test".
        seed: Seed of the random numbers.
        most: Largest number of samples. For larger splits, a fixed selection is used.

    Returns:
        {name: number}. A name contains the kind, the model's num_levels, the split and the
        selection: nats_exact_levels2_test. {} for an empty split.
    """
    source, protocol = data.source(split), split
    if not len(source):
        return {}
    if most is not None and most < len(source):
        source = Subset(source, keyed_permutation(len(source), "likelihoods")[:most].sort().values)
        protocol = f"{split}_{most}"
    num_levels = getattr(model, "num_levels", model.hparams.get("num_levels"))
    if num_levels:
        protocol = f"levels{num_levels}_{protocol}"
    metrics = on_all_ranks(summed, model, data, source, seed)
    return {f"{metric.name}_{protocol}": metric.compute().item() for metric in metrics}


def conditional_kind(kind: str, conditions: tuple[str, ...]) -> str:
    """Add conditions to a kind: "given_label" for "exact" and ("label",)."""
    if not conditions:
        return kind
    condition = f"given_{'_'.join(conditions)}"
    return condition if kind == "exact" else f"{kind}_{condition}"


def summed(model: Any, data: Any, source: Any, seed: int) -> list[Nats]:
    """Return the metrics, updated with this process's share of a source."""

    def prepared(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        batch = data.prepare_batch(batch, model)
        return {name: batch[name] for name in model.needs}  # conditions are part of the kind

    reseed(model.device, seed, "estimates")
    estimates = (
        model.estimates() if hasattr(model, "estimates") else {model.likelihood_kind: model.nll}
    )
    scored, *conditions = model.needs
    conditions = (*conditions, *getattr(model, "condition_parts", ()))
    dimensions = getattr(model, "dimensions", prepared(source[torch.tensor([0])])[scored].numel())
    kinds = {kind: conditional_kind(kind, conditions) for kind in estimates}
    metrics = {kind: (Nats(name), BitsPerDim(name, dimensions)) for kind, name in kinds.items()}
    (rank, world_size), workers = rank_and_world_size(), data.hparams.get("workers", 0)
    loader = KeyedLoader(source, CHUNK, None, rank, world_size, workers=workers)
    for turn, batch in enumerate(map(prepared, loader)):
        reseed(model.device, seed, "likelihood", rank + turn * world_size)
        for kind, estimate in estimates.items():
            nll = estimate(batch).cpu()
            for metric in metrics[kind]:
                metric.update(nll)
    # Processes reduce metrics on the model's device. A single process uses the CPU for float64.
    device = model.device if world_size > 1 else "cpu"
    return [metric.to(device) for pair in metrics.values() for metric in pair]
