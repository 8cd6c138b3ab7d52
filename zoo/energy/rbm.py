"""Restricted Boltzmann machine (Smolensky 1986; Hinton 2002), trained by CD-k or PCD-k."""

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from zoo.base import GenerativeModule
from zoo.config.errors import UserError
from zoo.engine import logs
from zoo.engine.batch_checks import zoo_data_module
from zoo.engine.conditions import check_conditions
from zoo.engine.seeds import keyed_permutation, run_seed, stream
from zoo.media.images import from_levels, grid_of, to_levels
from zoo.metrics.ais import ais_log_z
from zoo.networks.rbm import Units
from zoo.precision import at_least_float32, bernoulli

ENUMERABLE = 16  # hidden units up to which log Z is computed exactly
AIS_CHAINS = 100  # samples of each estimate of log Z
MEAN_IMAGES = 10_000  # training images from which the base rates of pixels are computed


class RBM(GenerativeModule):
    """Binary pixels v and hidden units h with p(v, h) = exp(b v + c h + h W v) / Z.

    The gradient of -log p(v) is that of F(v) - E F(v'), with samples v' of the model. In
    contrastive divergence (CD-k), v' are the result of k Gibbs steps from the batch. In persistent
    CD (PCD-k, Tieleman 2008), they are the result of k steps of chains that continue from batch to
    batch. Checkpoints contain the chains.

    With up to 16 hidden units, the exact likelihood is a metric. Annealed importance sampling in
    both directions (Salakhutdinov, Murray 2008) estimates the likelihood. See zoo.metrics.ais.
    `sample` runs Gibbs steps that start at independent pixels with the base rates of the data.

    Deviations: gray levels become binary. Unlike in Tieleman 2008, the number of chains does not
        depend on the size of a batch. Visible biases start at the log-odds of the pixels' means
        (Hinton 2010, section 8.1) if the data are a data module of the zoo.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        width: Number of hidden units.
        cd_steps: Gibbs steps k per batch.
        persistent: Continue chains from batch to batch (PCD).
        chains: Number of persistent chains, over all processes.
        sampling_steps: Gibbs steps of a sample.
        ais_steps: Number of steps of annealed importance sampling.
        lr: Learning rate of SGD.
        momentum: Momentum of SGD.
        decay: The learning rate is multiplied by this factor after each step.
        weight_decay: L2 penalty of the weights W.
    """

    num_levels = 2
    units: Units
    chains: Tensor  # (chains, D) uint8, or (0, D) without persistent chains
    base_logits: Tensor  # (D,), log-odds of the pixels of training images

    def __init__(
        self,
        image_size: int = 28,
        image_channels: int = 1,
        width: int = 500,
        cd_steps: int = 1,
        persistent: bool = False,
        chains: Annotated[int, "[1, 1000000]"] = 100,
        sampling_steps: int = 1000,
        ais_steps: int = 1000,
        lr: float = 0.05,
        momentum: float = 0.9,
        decay: Annotated[float, "(0, 1]"] = 1.0,
        weight_decay: Annotated[float, "[0, inf)"] = 0.0,
        **shared: Any,
    ):
        super().__init__(**shared)
        hp, visible = self.hparams, image_channels * image_size**2
        self.units = self.build_units()
        states = torch.zeros(hp.chains if hp.persistent else 0, visible, dtype=torch.uint8)
        self.register_buffer("chains", states)
        self.register_buffer("base_logits", torch.zeros(visible))

    def build_units(self) -> Units:
        """Build the network from v (N, D) to free energies (N,). See zoo.networks.rbm."""
        hp = self.hparams
        return Units(hp.image_channels * hp.image_size**2, hp.width)

    def setup(self, stage: str) -> None:
        super().setup(stage)
        data = zoo_data_module(self.trainer.datamodule)
        if stage != "fit":
            return
        if len(self.chains) % self.trainer.world_size:
            raise UserError(
                f"model.chains={len(self.chains)} must be a multiple of the number of processes, "
                f"{self.trainer.world_size}."
            )
        if data is not None and not self.base_logits.any():  # not trained before, nor loaded
            self.init_biases_(data)
        if not self.chains.any():  # also with init= of a model without these chains
            with stream(self.device, "rbm chains", run_seed()):
                self.chains.copy_(self.base_samples(len(self.chains)))

    def init_biases_(self, data: Any) -> None:
        """Set the base rates, and the visible biases, to those of a data module's pixels."""
        source = data.source("train")
        chosen = keyed_permutation(len(source), "rbm")[:MEAN_IMAGES]
        chunks = [self.visible(data.prepare_batch(source[c], self)) for c in chosen.split(1000)]
        white = torch.cat(chunks).sum(dim=0)  # number of images whose pixel is white
        self.base_logits.copy_(((white + 1) / (len(chosen) + 2)).logit())  # no rate is 0 or 1
        self.units.visible_bias.data.copy_(self.base_logits)

    def visible(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the pixels of images as visible units (N, D), 0 or 1."""
        return to_levels(batch["image"], 2).flatten(1).to(self.dtype)

    def gibbs(self, visible: Tensor, steps: int) -> Tensor:
        """Return visible units (N, D) after Gibbs steps from others, without gradients."""
        with torch.no_grad():
            for _ in range(steps):
                hidden = bernoulli(self.units.hidden_logits(visible))
                visible = bernoulli(self.units.visible_logits(hidden))
        return visible

    def base_samples(self, count: int) -> Tensor:
        """Draw independent visible units (count, D) with the base rates of the data."""
        return bernoulli(at_least_float32(self.base_logits).expand(count, -1))

    @torch.no_grad()
    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        hp = self.hparams
        visible = self.gibbs(self.base_samples(count), hp.sampling_steps)
        shape = count, hp.image_channels, hp.image_size, hp.image_size
        return from_levels(visible, 2).view(shape).to(self.dtype)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        hp, optimizer = self.hparams, self.optimizers()
        data = self.visible(batch)  # (N, D)
        rank, world_size = self.trainer.global_rank, self.trainer.world_size
        start = self.chains[rank::world_size] if hp.persistent else data
        model = self.gibbs(start, hp.cd_steps)
        with self.turn(optimizer):
            gap = self.units(data).mean() - self.units(model).mean()
            self.manual_backward(gap)
        if hp.persistent:
            states: Any = self.all_gather(model.to(self.chains.dtype))  # (processes, ., D)
            self.chains.copy_(states.view(world_size, *model.shape).transpose(0, 1).flatten(0, 1))
        losses = {"free_energy_gap": gap}
        if logs.is_due(self.trainer):
            losses["pseudo_nats"] = self.pseudo_nll(data).mean()
        self.log_losses(**losses)

    @torch.no_grad()
    def pseudo_nll(self, visible: Tensor) -> Tensor:
        """Estimate -Σ_i log p(v_i | all other units) of v (N, D) by one random i per row, (N,)."""
        count, dimensions = visible.shape
        place = torch.randint(dimensions, (count,), device=self.device)[:, None]
        flipped = visible.scatter(1, place, 1 - visible.gather(1, place))
        return dimensions * softplus(self.units(visible) - self.units(flipped))

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        hp = self.hparams
        biases = [p for name, p in self.units.named_parameters() if "bias" in name]
        weights = [p for name, p in self.units.named_parameters() if "bias" not in name]
        groups = [{"params": weights, "weight_decay": hp.weight_decay}, {"params": biases}]
        optimizer = torch.optim.SGD(groups, hp.lr, hp.momentum)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, hp.decay)]

    # The likelihood

    def anneal(self, visible: Tensor, beta: float, following: float) -> tuple[Tensor, Tensor]:
        """Move from the density f_beta of v (M, D) to another. See zoo.metrics.ais.

        f_beta has the biases and weights of the RBM times beta, and the visible biases have the
        base rates' logits times 1 - beta besides (Salakhutdinov, Murray 2008, eq. 16).
        """
        base = at_least_float32(self.base_logits)
        logits = self.units.hidden_logits(visible)  # (M, H)
        log_ratio = (softplus(following * logits) - softplus(beta * logits)).sum(dim=1)
        log_ratio += (following - beta) * (visible @ (self.units.visible_bias.to(base) - base))
        hidden = bernoulli(following * logits)
        mixed = following * self.units.visible_logits(hidden) + (1 - following) * base
        return log_ratio, bernoulli(mixed)

    @torch.no_grad()
    def log_zs(self) -> dict[str, Tensor]:
        """Return {kind: log Z}, the exact value if there is one, and estimates that draw chains."""
        hp = self.hparams
        base = at_least_float32(self.base_logits)
        log_z = softplus(base).sum() + hp.width * math.log(2)
        start = self.base_samples(AIS_CHAINS)
        model = self.gibbs(self.base_samples(AIS_CHAINS), hp.sampling_steps)
        exact = {"exact": self.units.exact_log_z()} if hp.width <= ENUMERABLE else {}
        return exact | ais_log_z(self.anneal, start, model, log_z, hp.ais_steps)

    def estimates(self) -> dict[str, Callable[[dict[str, Tensor]], Tensor]]:
        """Return {kind: function from a batch to (N,) nats}. See zoo.metrics.likelihood."""
        return {kind: partial(self.nll, log_z=log_z) for kind, log_z in self.log_zs().items()}

    def nll(self, batch: dict[str, Tensor], log_z: Tensor | None = None) -> Tensor:
        """Return F(v) + log Z, (N,) in nats; by default with the first of `log_zs`."""
        log_z = next(iter(self.log_zs().values())) if log_z is None else log_z
        return self.units(self.visible(batch)) + log_z

    def figures(self, data: Any) -> dict[str, Tensor]:
        """Draw the weights of up to 100 hidden units as images."""
        hp, weights = self.hparams, at_least_float32(self.units.weight.detach()[:100])
        images = weights.view(-1, hp.image_channels, hp.image_size, hp.image_size)
        return {"filters": grid_of(images / images.abs().amax(dim=(1, 2, 3), keepdim=True))}
