"""Likelihoods as exact reductions: sums of nats and counts, not means of batch means.

The name of a number contains its kind:

    exact                 -log p(x), computed by the model (an autoregressive one)
    bound                 -ELBO, or a continuous density of dequantized pixels
    iwae_<k>              a bound from k weighted samples
    given_<y>             -log p(x | y) of a conditional model, computed
    bound_given_<y>       a bound on it; likewise iwae_<k>_given_<y>
    given_code            a decoder's -log p(x | h(x)), which is not a likelihood of x

A conditional likelihood is never called exact: y may contain much information about x, or be a
function of it, like the loudness of audio. Compare only numbers of the same kind. Likelihoods of
binarized images are comparable only for the same binarization, which the data's name must tell.
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
KINDS = rf"exact|({BOUND}_)?given_[a-z0-9_]+|{BOUND}"


def bits_per_dim(nll: Any, dimensions: int) -> Any:
    """Convert nats of whole images to bits per sub-pixel, nats / (D ln 2)."""
    return nll / (dimensions * math.log(2))


def iwae(log_weights: Tensor) -> Tensor:
    """Compute the importance-weighted bound on log p(x), (N,) in nats and float64.

    With k = 1 its mean is the ELBO; it rises with k towards log p(x). Burda et al. 2016 (arXiv
    1509.00519), section 3.

    Args:
        log_weights: log p(x, z) - log q(z | x) at k draws z ~ q(z | x), (k, N).
    """
    log_weights = log_weights.to(widest(log_weights.device))
    return log_weights.logsumexp(dim=0) - math.log(len(log_weights))


def discrete_nll(nll: Any, dimensions: int, bin_width: float) -> Any:
    """Convert nats of a density at dequantized pixels to nats of integer gray levels.

    A level is a bin of `bin_width` in each of the dimensions of x, with dequantization noise that
    is uniform over the bin. Its probability is the integral of the density over the bin, so the
    scale of x cancels: nats - D ln(bin_width).

    The result is an upper bound, of kind "bound": by Jensen's inequality the mean log-density in a
    bin is below the log of the mean (Theis et al. 2016, arXiv 1511.01844, section 3.1). A density
    of pixels without that noise is not a likelihood: it has no upper limit.

    Args:
        nll: -log p(x), a number or a tensor.
        dimensions: Number D of dimensions of x.
        bin_width: 1/256 for x = (level + u) / 256, and 2/255 for images in [-1, 1] with noise in
            (-1/255, 1/255).
    """
    return nll - dimensions * math.log(bin_width)


class Nats(Metric):
    """Mean negative log-likelihood of a sample, in nats, as a float64 scalar.

    It does not depend on the batches and on the number of processes, some of which may have no
    samples.

    Args:
        kind: The kind of the number, a part of `name`. See the module's docstring.
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
                "given_<condition>, or a bound followed by _given_<condition>"
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
        # Not in update: after the reduction every rank raises, so that none waits for another.
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
        model: Has `nll(batch)`, (N,) nats, and `likelihood_kind`, or else `estimates()`, which
            returns {kind: function of a batch}. These functions get only the keys in `needs`: the
            first is scored, the others are conditions, which become part of the kind. A model that
            is conditioned on a part of each sample names it in `condition_parts`, and tells in
            `dimensions` how many dimensions are left.
        data: The data module.
        split: "val" or "test".
        seed: Seed of the random numbers.
        most: Largest number of samples; a fixed selection replaces a larger split.

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
    if "num_levels" in model.hparams:
        protocol = f"levels{model.hparams.num_levels}_{protocol}"
    metrics = on_all_ranks(summed, model, data, source, seed)
    return {f"{metric.name}_{protocol}": metric.compute().item() for metric in metrics}


def conditional_kind(kind: str, conditions: tuple[str, ...]) -> str:
    """Return the kind under conditions: "given_label" for "exact" and ("label",)."""
    if not conditions:
        return kind
    condition = f"given_{'_'.join(conditions)}"
    return condition if kind == "exact" else f"{kind}_{condition}"


def summed(model: Any, data: Any, source: Any, seed: int) -> list[Nats]:
    """Return the metrics, updated with this process's share of a source."""

    def prepared(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        batch = data.prepare_batch(batch, model)
        return {name: batch[name] for name in model.needs}  # only conditions that the kind names

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
    # Several processes exchange them on the model's device; the CPU has float64 on any machine.
    device = model.device if world_size > 1 else "cpu"
    return [metric.to(device) for pair in metrics.values() for metric in pair]
