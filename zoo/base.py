"""The contract that every model of the zoo keeps."""

import os
from contextlib import contextmanager

import torch

try:
    import torchvision  # noqa: F401 - Lightning imports it, with a message that helps nobody
except RuntimeError as error:
    raise ImportError(
        f"torchvision was not built for torch {torch.__version__}: "
        "python -m pip install --upgrade torch torchvision"
    ) from error
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities import rank_zero_warn

from zoo import speed
from zoo.engine import batches, evaluation, logs, resume
from zoo.engine.averages import Averages
from zoo.engine.plain import make_plain_, refuse_objects
from zoo.errors import Diverged
from zoo.ranges import check_hyperparameters
from zoo.schedules import refuse_plateau
from zoo.seeds import reseed
from zoo.strategy import average_buffers, refuse_plain_ddp


class GenerativeModule(LightningModule):
    """A model whose training step is a list of turns, and that can be sampled.

    A subclass gives `sample`, `training_step` and `configure_optimizers`; its constructor takes
    plain values with defaults and hands `**shared` on to this one:

        gradient_clip: largest norm of a player's gradient in a turn; 0 leaves it alone.
        accumulate: batches whose gradients are averaged before each step; the micro-batches of
            one group make one move, and `every` counts groups. For the first player this equals
            one big batch; the others meet, in all micro-batches but the last, the first one as
            it was before its step. Checkpoints hold no gradients: resuming inside a group drops
            what it had accumulated.
        compile: the players by torch.compile, which takes a minute or so at the beginning; those
            that are differentiated twice stay as they are, for that cannot be compiled.

    `self.hparams` holds what the outermost constructor was given. Schedules that
    `configure_optimizers` returns are stepped with their optimizer: they count their player's
    steps, whatever their interval.
    """

    needs = ("image",)  # the keys of the batch that training_step reads
    conditions = ()  # those without which it cannot sample
    twice_differentiated = ()  # the players whose gradient is part of a loss

    def __init__(self, gradient_clip: float = 0.0, accumulate: int = 1, compile: bool = False):
        super().__init__()
        self.save_hyperparameters()
        make_plain_(self.hparams)
        check_hyperparameters(self, "model")
        self.automatic_optimization = False
        self.seed = None
        self.losses = {}  # the losses logged last
        self.averages = Averages()  # of players, kept by callbacks/ema.py
        self.results = {}  # val/<name>, which select, and test/<name> -> {batch: value}
        self.moving = None  # the optimizer whose turn it is
        self.terms = {}  # optimizer -> functions whose scalars are added to its player's loss
        self.noted = {}  # what is logged with the batch's losses

    def sample(self, count, given=None):
        """(count, C, H, W) images in [-1, 1]; `given`: a batch whose conditions to use.

        A model that has latents gives `prior(count)`, latents (count, Z), which `sample` draws
        first of all unless it is given["latent"].
        """
        raise NotImplementedError(f"{type(self).__name__} must define sample(count, given=None)")

    def check_conditions(self, count, given):
        """Raises ValueError, for `sample`, unless `given` holds `count` of each condition."""
        missing = [name for name in self.conditions if name not in (given or {})]
        if missing:
            names = ", ".join(f'"{name}": ...' for name in missing)
            raise ValueError(f"{type(self).__name__} needs sample(count, {{{names}}})")
        for name in self.conditions:
            if len(given[name]) != count:
                raise ValueError(f'sample({count}, ...): "{name}" holds {len(given[name])}.')

    def measure(self, data, split):
        """{what: number} that only such a model has, beside a datamodule; see callbacks/metrics.py.

        split: of the data, "val" or "test"; a number that depends on it ends in its name. Without
        such samples ("val" can be empty) there are no such numbers. Called in `evaluating`, on the
        first process alone. What is better when it is larger begins with one of
        zoo.metrics.measure.RISING.
        """
        return {}

    def statistics_pass(self, count, training_batch):
        """Runs the networks once as evaluation does; estimates batch norm of averaged players.

        training_batch(): a batch of `count` training samples.
        """
        if hasattr(self, "nats"):
            self.nats(training_batch())
        else:
            batch = training_batch() if self.conditions else {}
            self.sample(count, {name: batch[name] for name in self.conditions} or None)

    def pictures(self, data):
        """{name: uint8 (3, H, W)} that only such a model has, beside a datamodule or None.

        A film is (T, 3, H, W). Called in `evaluating`, after a reseed; see callbacks/samples.py.
        """
        return {}

    @contextmanager
    def turn(self, optimizer):
        """One player's move: the body calls `manual_backward` once, on the player's loss."""
        batch, group = self.trainer.global_step, self.hparams.accumulate
        self.moving = optimizer.optimizer
        self.toggle_optimizer(optimizer)
        try:
            if (batch - 1) % group == 0:
                optimizer.zero_grad()
            yield
            if batch % group == 0:
                self._step(optimizer)
        finally:
            self.moving = None
            self.untoggle_optimizer(optimizer)

    def manual_backward(self, loss, *arguments, **keywords):
        """Lightning's, of the moving player's loss and the terms that callbacks add to it."""
        for term in self.terms.get(self.moving, ()):
            loss = loss + term()
        super().manual_backward(loss, *arguments, **keywords)

    def optimizer_of(self, player):
        """The torch optimizer that moves a network during training; None if there is none."""
        first = next(player.parameters())
        for optimizer in self.trainer.optimizers:
            if any(first is p for group in optimizer.param_groups for p in group["params"]):
                return optimizer
        return None

    def _step(self, optimizer):
        parameters = [p for player in optimizer.param_groups for p in player["params"]]
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.hparams.accumulate > 1:
            torch._foreach_div_(gradients, self.hparams.accumulate)
        if hasattr(self.trainer.strategy, "average_gradients"):
            self.trainer.strategy.average_gradients(gradients)
        # Lightning would count this step, but the clock counts batches: see on_train_batch_start.
        optimizer._on_before_step = optimizer._on_after_step = lambda: None
        optimizer.step()
        for config in self.trainer.lr_scheduler_configs:
            if config.scheduler.optimizer is optimizer.optimizer:
                config.scheduler.step()

    @property
    def clock(self):
        """The number of this batch, from 1 and across epochs and resumes (of groups of batches)."""
        return -(-self.trainer.global_step // self.hparams.accumulate)

    def every(self, count):
        """True on each count-th batch."""
        return self.clock % count == 0

    def log_losses(self, **losses):
        """Logs scalars as train/<name>, averaged over processes, on the steps the trainer logs.

        Raises Diverged for a value that is not finite. One synchronisation with the device.
        """
        batch, cadence = self.trainer.global_step, self.trainer.log_every_n_steps
        if not cadence or batch % cadence:
            return
        losses, self.noted = losses | self.noted, {}
        self.losses |= logs.write_losses(self.trainer, losses)

    def warn_of_early_end(self, name):
        """Warns where training ends with the first hparams[name] batches, a phase of its own."""
        most, first = self.trainer.max_steps, self.hparams[name] * self.hparams.accumulate
        if 0 < most <= first:
            rank_zero_warn(
                f"The first {first} batches train a part alone (model.{name}), and "
                f"trainer.max_steps={most} ends before the others begin."
            )

    def note(self, **losses):
        """Leaves scalars, such as a callback's terms, to be logged with this batch's losses."""
        self.noted |= {name: loss.detach() for name, loss in losses.items()}

    def log_results(self, results, stage="val"):
        """Logs {name: number} as <stage>/<name>, and remembers them so in `self.results`."""
        for name, value in results.items():
            self.results.setdefault(f"{stage}/{name}", {})[self.trainer.global_step] = value
        logs.write(self.trainer, stage, results)

    @contextmanager
    def evaluating(self):
        """Averaged weights where there are any, eval mode, no gradients; afterwards as before.

        Every process must enter: buffers are averaged over processes first. Raises Diverged on
        all of them for weights that are not finite.
        """
        if self._trainer is not None:
            self.check_finite()
        modes = {module: module.training for module in self.modules()}
        accelerators = [self.device] if self.device.type != "cpu" else []
        with torch.no_grad(), torch.random.fork_rng(accelerators, device_type=self.device.type):
            try:
                with self.eval().averages.in_place(self):
                    yield self
            finally:
                for module, mode in modes.items():
                    module.training = mode

    def check_finite(self):
        """Raises Diverged, on every process, if a weight or a statistic of any is not finite."""
        self.sync_buffers()
        state = self.state_dict()
        finite = torch.stack([value.isfinite().all() for value in state.values()]).tolist()
        if not all(finite):
            name = list(state)[finite.index(False)]
            raise Diverged(f"{name} is not finite at batch {self.trainer.global_step}")

    def sync_buffers(self):
        """Averages floating-point buffers (batch norm's statistics) over the processes."""
        if self.trainer.world_size > 1:
            average_buffers(self, self.trainer.strategy.reduce)

    @property
    def validation_step(self):
        """None in training, which measures on its own clock; else a step that does nothing."""
        return evaluation.validation_step(self._trainer)

    def test_step(self, batch, batch_idx):
        """Nothing: callbacks/metrics.py measures for trainer.validate and trainer.test."""

    def predict_step(self, batch, batch_idx):
        return evaluation.predict(self, batch, batch_idx)

    # The hooks below are the module's own bookkeeping: an override calls super first.

    def setup(self, stage):
        if stage == "fit":  # before callbacks copy players
            speed.lay_out(self)
            for name in self.twice_differentiated:
                speed.straighten(getattr(self, name))
        evaluation.check(self.trainer, stage)

    def on_fit_start(self):
        self.checked = False  # whether a batch has been: see check_batch
        refuse_plain_ddp(self.trainer.strategy)
        for where, module in (("model", self), ("data", self.trainer.datamodule)):
            refuse_objects(getattr(module, "hparams", {}), where)
        for optimizer in self.trainer.optimizers:
            speed.fuse(optimizer)
        speed.spare_the_search()
        if self.hparams.compile:
            speed.compile_players(self)
        refuse_plateau(config.scheduler for config in self.trainer.lr_scheduler_configs)

    def on_train_batch_start(self, batch, batch_idx):
        self.checked = self.checked or batches.check_batch(self, batch)
        # One clock: global_step is the number of training batches begun, however many players move.
        clock = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        clock.increment_ready()
        clock.increment_completed()
        self.noted = {}
        # Keyed randomness: what a batch draws depends on nothing that was drawn before it.
        if self.seed is None:
            self.seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
        reseed(self.device, self.seed, self.trainer.global_step, self.trainer.global_rank)

    def on_train_end(self):
        self.check_finite()

    def on_before_optimizer_step(self, optimizer):
        # Here and not in the turn, because fp16 gradients are unscaled only now.
        if self.hparams.gradient_clip:
            self.clip_gradients(optimizer, self.hparams.gradient_clip, "norm")

    def on_save_checkpoint(self, checkpoint):
        self.sync_buffers()
        checkpoint["zoo"] = resume.origin(self) | {
            "seed": self.seed,
            "results": self.results,
            "averages": self.averages.state(self),
        }

    def on_load_checkpoint(self, checkpoint):
        resume.check_same_run(checkpoint["zoo"]["run"], self._trainer)
        self.seed, self.results = checkpoint["zoo"]["seed"], checkpoint["zoo"]["results"]
        self.averages.load(self, checkpoint["zoo"]["averages"])
