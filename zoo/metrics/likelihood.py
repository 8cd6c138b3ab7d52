"""Likelihoods as exact reductions: sums of nats and counts, never means of means of batches.

A number says what it is by its `kind`:

    exact                 -log p(x), computed by the model (an autoregressive one)
    bound                 -ELBO, or a continuous density of dequantised pixels
    iwae_<k>              a bound from k weighted samples
    given_<y>             -log p(x | y) of a conditional model, computed
    bound_given_<y>       a bound on it; likewise iwae_<k>_given_<y>
    given_code            a decoder's -log p(x | h(x)), which is no likelihood of x

A conditional likelihood is never called exact: y may tell much about x, or be a function of it, as
the loudness of audio is. Compare numbers of one kind only. Likelihoods of binarised images are
compared at one binarisation only: the data's name has to say which.
"""

import math
import re

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


def bits_per_dim(nll, dimensions: int):
    """Nats of whole images, a number or a tensor, in bits per sub-pixel: nats / (D ln 2)."""
    return nll / (dimensions * math.log(2))


def iwae(log_weights: Tensor) -> Tensor:
    """Importance-weighted bound on log p(x), (N,) in nats, of weights (k, N); in float64.

    The weights are log p(x, z) - log q(z | x) at k draws z ~ q(z | x). With k = 1 its mean is the
    ELBO; it rises with k towards log p(x). Burda et al. 2016 (arXiv 1509.00519), section 3.
    """
    log_weights = log_weights.to(widest(log_weights.device))
    return log_weights.logsumexp(dim=0) - math.log(len(log_weights))


def discrete_nll(nll, dimensions: int, bin_width: float):
    """Nats of integer grey levels, from nats = -log p(x) of a density at dequantised pixels x.

    A level is a bin of `bin_width` in each of the dimensions of x, its dequantising noise uniform
    over the bin; its probability is the density's integral over the bin, so the scale of x cancels:
    nats - D ln(bin_width). A bin is 1/256 wide for x = (level + u) / 256, and 2/255 for the images
    in [-1, 1] of this zoo with noise of (-1/255, 1/255).

    The result is an upper bound, of kind "bound", for by Jensen's inequality the mean log-density
    in a bin is below the log of the mean (Theis et al. 2016, arXiv 1511.01844, section 3.1). A
    density of pixels without that noise is no likelihood: it grows without limit.
    """
    return nll - dimensions * math.log(bin_width)


class Nats(Metric):
    """Mean negative log-likelihood of a sample, in nats, as a float64 scalar.

    The same for any batches on any number of processes, of which some may have no samples.
    kind: what the number is, see above; a part of `name`.
    """

    full_state_update = False
    higher_is_better = False
    unit = "nats"

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
        """Adds negative log-likelihoods (N,), one a sample; N may be 0."""
        if nll.dim() != 1:
            raise ValueError(f"{self.name} takes nats (N,) of samples, got {tuple(nll.shape)}")
        self.total += nll.detach().double().sum()
        self.count += len(nll)

    def compute(self) -> Tensor:
        """Raises ValueError where there is no sample, or one was NaN."""
        # Not in update: after the reduction every rank raises, so that none waits for another.
        if self.count == 0:
            raise ValueError(f"{self.name} of no samples: update it first")
        if self.total.isnan():
            raise ValueError(f"{self.name}: a likelihood is NaN")
        return self.total / self.count

    def _apply(self, fn, exclude_state=()):
        # torchmetrics guards its states against half() and float() but not against to(dtype).
        return super()._apply(lambda state: state.to(fn(state).device), exclude_state)


class BitsPerDim(Nats):
    """Mean negative log-likelihood in bits per dimension: `dimensions` is C * H * W."""

    unit = "bits_per_dim"

    def __init__(self, kind: str, dimensions: int):
        super().__init__(kind)
        if dimensions < 1:
            raise ValueError(f"dimensions={dimensions} must be at least 1")
        self.dimensions = dimensions

    def compute(self) -> Tensor:
        return bits_per_dim(super().compute(), self.dimensions)


def likelihoods(model, data, split, seed=0, most=None):
    """{name: number}: nats and bits per dimension of a split of a DataModule, on every process.

    model: has `nats(batch)`, (N,), and `likelihood`, the kind of it, or else `estimates()`, {kind:
    function of a batch}. Both read nothing but the keys that `needs` names: the first is what is
    scored, the others are conditions, which the kind is made to name (see `conditional_kind`). A
    model that is given a part of each sample names it in `condition_parts`, and says in
    `dimensions` how much is left.

    To be called in evaluating(). What is drawn for a batch is keyed by the seed and the batch.
    most: a fixed choice of so many samples stands for a larger split. A name says the kind, the
    number of levels if the model chooses it, the split and the choice: nats_exact_levels2_test.
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
    """The kind of a likelihood under conditions: "given_label" of "exact" and ("label",)."""
    if not conditions:
        return kind
    condition = f"given_{'_'.join(conditions)}"
    return condition if kind == "exact" else f"{kind}_{condition}"


def summed(model, data, source, seed):
    """The metrics, with this process's share of a source."""

    def prepared(batch):
        batch = data.prepare_batch(batch, model)
        return {name: batch[name] for name in model.needs}  # no condition without a name

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
    # Where processes exchange them, they are on the device that does; alone, on the CPU, which has
    # float64 whatever the device.
    device = model.device if world_size > 1 else "cpu"
    return [metric.to(device) for pair in metrics.values() for metric in pair]
