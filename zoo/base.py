"""The contract of every model in the zoo."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import zoo.engine.torchvision_check  # noqa: F401 - before Lightning, whose message does not help

# isort: split
from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Optimizer

from zoo.engine import batch_checks, evaluation, logs, speed, stepping, training_checks
from zoo.engine.gradient_sync import sync_buffers
from zoo.engine.seeds import reseed, run_seed
from zoo.engine.weight_averages import Averages
from zoo.runs import resume


class GenerativeModule(LightningModule):
    """A generative model that is trained by manual optimization, one network at a time.

    A subclass defines `sample`, `training_step` and `configure_optimizers`. Its constructor takes
    plain values with defaults and passes `**shared` on to this one. A training step is a list of
    turns: each turn updates one player (network) with one backward pass and one optimizer step.

    Learning rate schedules that `configure_optimizers` returns are stepped with their optimizer:
    they count the steps of their player, whatever their interval.

    Args:
        gradient_clip: Clip the norm of each player's gradient at this value; 0 disables clipping.
        accumulate: Number of batches whose gradients are averaged for one optimizer step. Settings
            such as discriminator_steps then count groups of batches. For the first player, a group
            is equivalent to one large batch. For the others it is not, because only the last batch
            of a group follows the first player's update. Gradients are not saved: resuming inside
            a group drops them.
        compile: Compile the players with torch.compile, which takes about a minute. Players that
            are differentiated twice stay uncompiled, because torch.compile does not support this.
    """

    needs: tuple[str, ...] = ("image",)  # the keys of the batch that training_step reads
    conditions: tuple[str, ...] = ()  # the keys that `sample` needs
    latent_conditions: tuple[str, ...] = ()  # the keys that latents replace, see `check_conditions`
    twice_differentiated: tuple[str, ...] = ()  # the players whose gradient is part of a loss
    hparams: Any  # type: ignore[assignment]  # arguments of the outermost constructor
    trainer: Any  # a wider type than Lightning's, as the next two
    dtype: Any
    optimizers: Callable[[], Any]  # type: ignore[assignment]

    def __init__(
        self, gradient_clip: float = 0.0, accumulate: int = 1, compile: bool = False, **unknown: Any
    ):
        training_checks.refuse_unknown(type(self), unknown)
        super().__init__()
        self.save_hyperparameters()
        training_checks.check_settings(self)
        self.automatic_optimization = False
        self.init: dict[str, str] | None = None  # see zoo.runs.initial_weights
        self.begin_run()

    def begin_run(self) -> None:
        """Set what belongs to one fit to its initial value. A checkpoint is loaded after this."""
        batch_checks.remove_hooks(self)  # of a fit that failed
        self.seed = run_seed()
        self.batch_checked = self.had_turn = False
        self.losses: dict[str, float] = {}  # the losses logged last
        self.last_losses: dict[str, Tensor] = {}  # those computed last, in the latest batches
        self.averages = Averages()  # of players' weights, updated by callbacks/ema.py
        self.results: dict[str, dict[int, float]] = {}  # "val/<name>": {batch: value}
        self.active_optimizer: Optimizer | None = None  # the optimizer whose turn it is
        self.extra_losses: dict[Optimizer | None, list[Callable[[], Tensor]]] = {}  # from callbacks
        self.pending_losses: dict[str, Tensor] = {}  # logged with the batch's losses

    # What a model defines

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        """Draw samples from the model.

        A model with latents also defines `prior(count)`, which returns latents (count, Z). `sample`
        draws them before anything else, unless it gets condition["latent"].

        Args:
            count: Number of samples.
            condition: What to condition on: a batch with `count` of each key in `conditions`.

        Returns:
            (count, C, H, W) images in [-1, 1], (count, T, C, H, W) videos or (count, T) audio.
            Differentiable: callers that need no gradient use torch.no_grad.
        """
        raise NotImplementedError(f"{type(self).__name__} must define sample(count, condition)")

    def measure(self, data: Any, split: str) -> dict[str, float]:
        """Compute the numbers that only this kind of model has. See callbacks/metrics.py.

        Called inside `evaluating`, on the first process only. The name of a metric that is better
        when larger begins with one of zoo.metrics.compute.HIGHER_IS_BETTER.

        Args:
            data: The data module.
            split: "val" or "test". The name of a number that depends on it ends in the split.

        Returns:
            {name: number}; {} where the split is empty.
        """
        return {}

    def figures(self, data: Any) -> dict[str, Tensor]:
        """Draw the figures that only this kind of model has. See callbacks/samples.py.

        Called inside `evaluating`, after a reseed.

        Args:
            data: The data module, or None.

        Returns:
            {name: uint8 (3, H, W)}, or (T, 3, H, W) for a video.
        """
        return {}

    def batch_norm_pass(self, count: int, training_batch: Callable[[], dict[str, Tensor]]) -> None:
        """Run the networks once as in evaluation, to estimate batch norm of averaged players.

        Args:
            count: Number of samples of the pass.
            training_batch: Returns a batch of `count` training samples.
        """
        if hasattr(self, "nll"):
            self.nll(training_batch())  # type: ignore[operator]
        else:
            batch = training_batch() if self.conditions else {}
            self.sample(count, {name: batch[name] for name in self.conditions} or None)

    # What a model's training step uses

    @contextmanager
    def turn(self, optimizer: LightningOptimizer) -> Iterator[None]:
        """Update one player: the body calls `manual_backward` once, on the player's loss."""
        batch, group = self.trainer.global_step, self.hparams.accumulate
        self.active_optimizer, self.had_turn = optimizer.optimizer, True
        self.toggle_optimizer(optimizer)
        try:
            if (batch - 1) % group == 0:
                optimizer.zero_grad()
            yield
            if batch % group == 0:
                stepping.step(self, optimizer)
        finally:
            self.active_optimizer = None
            self.untoggle_optimizer(optimizer)

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Backpropagate the active player's loss plus the losses that callbacks add to it."""
        for extra_loss in self.extra_losses.get(self.active_optimizer, ()):
            loss = loss + extra_loss()
        super().manual_backward(loss, *args, **kwargs)

    @property
    def clock(self) -> int:
        """Number of this batch, from 1, across epochs and resumes; with accumulation, of groups."""
        return -(-self.trainer.global_step // self.hparams.accumulate)

    def every(self, count: int) -> bool:
        """Return True on each `count`-th batch."""
        return self.clock % count == 0

    def log_losses(self, **losses: Tensor) -> None:
        """Log scalars as train/<name>, averaged over processes, on the steps the trainer logs.

        Raises:
            Diverged: A loss is not finite.
        """
        losses, self.pending_losses = losses | self.pending_losses, {}
        self.last_losses |= {name: loss.detach() for name, loss in losses.items()}
        if logs.is_due(self.trainer):
            self.losses |= logs.write_losses(self.trainer, losses)

    def log_with_losses(self, **losses: Tensor) -> None:
        """Log scalars, such as a callback's terms, together with this batch's losses."""
        self.pending_losses |= {name: loss.detach() for name, loss in losses.items()}

    def log_results(self, results: dict[str, float], stage: str = "val") -> None:
        """Log {name: number} as <stage>/<name> and keep the numbers in `self.results`."""
        for name, value in results.items():
            self.results.setdefault(f"{stage}/{name}", {})[self.trainer.global_step] = value
        logs.write(self.trainer, stage, results)

    # What callbacks and commands use

    def evaluating(self) -> AbstractContextManager["GenerativeModule"]:
        """Evaluate: averaged weights where there are any, eval mode, no gradients, own RNG state.

        Everything is restored afterwards. Every process must enter. See zoo.engine.evaluation.
        """
        return evaluation.evaluating(self)

    # Lightning's hooks: a subclass that overrides one calls super first

    @property
    def validation_step(self) -> Callable | None:
        """None in training, where callbacks/metrics.py measures; otherwise a step without work."""
        return evaluation.validation_step(self._trainer)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Do nothing: callbacks/metrics.py measures for trainer.validate and trainer.test."""

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Draw as many samples as the batch holds, under its conditions."""
        return evaluation.predict(self, batch, batch_idx)

    def setup(self, stage: str) -> None:
        if stage == "fit":  # before callbacks copy players
            self.begin_run()
            speed.prepare_players(self)
        evaluation.check(self.trainer, stage)

    def on_fit_start(self) -> None:
        training_checks.check_start(self, GenerativeModule)
        speed.prepare_steps(self, self.hparams.compile)

    def on_train_batch_start(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.batch_checked = self.batch_checked or batch_checks.check_batch(self, batch)
        stepping.count_batch(self.trainer)
        self.pending_losses = {}
        # What a batch draws depends on nothing that was drawn before it.
        reseed(self.device, self.seed, self.trainer.global_step, self.trainer.global_rank)

    def on_train_batch_end(self, outputs: Any, batch: dict[str, Tensor], batch_idx: int) -> None:
        training_checks.refuse_returned_loss(self, outputs)

    def on_train_end(self) -> None:
        batch_checks.remove_hooks(self)
        training_checks.check_trained(self)
        evaluation.check_finite(self)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        # Not in `turn`: fp16 gradients are unscaled only now.
        if self.hparams.gradient_clip:
            self.clip_gradients(optimizer, self.hparams.gradient_clip, "norm")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        sync_buffers(self)
        checkpoint["zoo"] = resume.origin(self) | {"averages": self.averages.state(self)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        stored = checkpoint["zoo"]
        resume.check_same_run(stored["run"], self._trainer)
        self.seed, self.results, self.init = stored["seed"], stored["results"], stored.get("init")
        self.averages.load(self, stored["averages"])
