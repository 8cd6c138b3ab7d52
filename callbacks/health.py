"""Says in words what is going wrong between a generator and its adversary."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_warn
from rich.console import Console
from torch import nn
from torch.optim import Optimizer

from callbacks.network_hooks import ADVERSARIES, NetworkCallback, first_output
from zoo.atomic_files import write_text
from zoo.base import GenerativeModule
from zoo.config.ranges import in_range
from zoo.engine import logs
from zoo.engine.stepping import optimizer_of
from zoo.metrics import gan_health as vitals
from zoo.metrics.diagnosis import BEYOND, Diagnosis

IMAGES = 64  # of a batch, whose distances are measured


class Health(NetworkCallback):
    """Watches the players every so many batches, warns when something begins, judges at the end.

    Logged as train/health_...: the norm of each player's gradient at its step, the adversary's
    separation of real and generated images, their logits' gap and saturation, the diversity of the
    generated images, the largest singular value of the adversary's layers. See
    zoo.metrics.gan_health.
    The verdict is printed and written to health.json in the run's folder. player: the adversary's
    name, by default that of the discriminator or critic; a model that has none, or several, is
    watched by its gradients alone. Training is the same with it and without.
    """

    @in_range
    def __init__(self, every: int = 100, player: str | None = None):
        super().__init__(player)
        self.every = every
        self.watching: int | None = None  # the batch since which this watch collects
        self.calls: list = []
        self.norms: dict = {}
        self.names: dict[Optimizer | None, str] = {}
        self.adversary: nn.Module | None = None
        self.optimizer: Optimizer | None = None
        self.reach = math.inf
        self.diagnosis = Diagnosis()

    # What is collected, without a word to the device.

    def setup(self, trainer: Trainer, model: GenerativeModule, stage: str) -> None:
        if self.player or any(hasattr(model, name) for name in ADVERSARIES):
            self.adversary = self.network(model)
        else:
            rank_zero_warn(
                "callbacks.health: no discriminator or critic: gradients alone are watched; "
                "callbacks.health.player=NAME names another."
            )

    def on_train_start(self, trainer: Trainer, model: GenerativeModule) -> None:
        networks = [(n, net) for n, net in model.named_children() if list(net.parameters())]
        self.names = {}
        for optimizer in trainer.optimizers:
            moved = [
                name for name, net in networks if optimizer_of(model.trainer, net) is optimizer
            ]
            self.names[optimizer] = moved[0] if moved else f"player{len(self.names)}"
        if self.adversary is not None:
            self.undo = self.attach(model, self.adversary)

    def attach(self, model: GenerativeModule, player: nn.Module) -> list[Callable[[], object]]:
        self.optimizer = optimizer = optimizer_of(model.trainer, player)

        def before(player: nn.Module, arguments):
            self.images = arguments[0]  # before noise or augmentation

        def after(player: nn.Module, arguments, output):
            its_turn = optimizer is not None and model.active_optimizer is optimizer
            if self.watching is None or not its_turn:
                return
            images, logits = self.images, first_output(output).detach().float()
            # Penalties ask for gradients at images; of the rest, real ones are first, fakes last.
            if not images.requires_grad and logits.shape == images.shape[:1]:
                self.calls = [*self.calls[:1], (images, logits)]

        hooks = player.register_forward_pre_hook(before, prepend=True)
        return [hooks.remove, player.register_forward_hook(after).remove]

    def on_train_batch_start(
        self, trainer: Trainer, model: GenerativeModule, batch: Any, batch_idx: int
    ) -> None:
        group = -(-(trainer.global_step + 1) // model.hparams.accumulate)  # of the batch to begin
        self.calls = []
        if self.watching is None and (group == 1 or group % self.every == 0):
            self.watching, self.norms = trainer.global_step + 1, {}

    def on_before_optimizer_step(
        self, trainer: Trainer, model: GenerativeModule, optimizer: Optimizer
    ) -> None:
        if self.watching is not None:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            gradients = [p.grad for p in parameters if p.grad is not None]
            if gradients:
                self.norms[self.names[optimizer]] = vitals.norm(gradients)

    def on_train_batch_end(
        self, trainer: Trainer, model: GenerativeModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.watching is None:
            return
        waited = trainer.global_step - self.watching  # for players that move seldom
        if (
            len(self.norms) == len(set(self.names.values()))
            or waited >= self.every * model.hparams.accumulate - 1
        ):
            self.watching = None
            self.watch(trainer, model)

    # What is made of it.

    def watch(self, trainer: Trainer, model: GenerativeModule):
        numbers = self.numbers()
        if not numbers:
            return
        values = torch.stack([value.float() for value in numbers.values()])
        means = trainer.strategy.reduce(values).tolist()  # the one synchronisation
        numbers = dict(zip(numbers, means, strict=True))
        logs.write(trainer, "train", {f"health_{name}": value for name, value in numbers.items()})
        adversary = self.names.get(self.optimizer, "")
        for new in self.diagnosis.judge(trainer.global_step, numbers, adversary, self.reach):
            rank_zero_warn(
                f"callbacks.health: {new['what']} since batch {new['since']}: {new['why']}"
            )

    def numbers(self):
        """{name: tensor} of this watch."""
        numbers = {f"{name}_gradient": value for name, value in self.norms.items()}
        stretches = [] if self.adversary is None else vitals.spectral_norms(self.adversary)
        if len(stretches):
            numbers["spectral_norm"] = stretches.max()
        if len(self.calls) == 2:
            (real, real_logit), (fake, fake_logit) = self.calls
            numbers["separation"] = vitals.separation(real_logit, fake_logit)
            numbers["gap"] = real_logit.mean() - fake_logit.mean()
            numbers["saturation"] = vitals.saturation(real_logit, fake_logit)
            if min(len(real), len(fake)) > 1:
                numbers["diversity"] = vitals.diversity(real[:IMAGES], fake[:IMAGES])
            self.reach = BEYOND * 2 * max(vitals.SURE, real[0].numel() ** 0.5)
        self.calls = []
        return numbers

    # What is said at the end.

    def on_fit_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.conclude(trainer)

    def on_exception(
        self, trainer: Trainer, model: GenerativeModule, exception: BaseException
    ) -> None:
        super().on_exception(trainer, model, exception)
        if self.diagnosis.count:
            try:
                self.conclude(trainer)
            except OSError as error:  # the exception is what matters
                print(f"health.json could not be written: {error}", file=sys.stderr)

    def conclude(self, trainer: Trainer):
        """Prints the verdict and writes health.json."""
        if not trainer.is_global_zero:
            return
        diagnosis = self.diagnosis
        last = diagnosis.watches[-1] if diagnosis.watches else {}
        last = {name: value if math.isfinite(value) else None for name, value in last.items()}
        verdict, findings = diagnosis.verdict(), diagnosis.findings
        content = {"verdict": verdict, "findings": findings, "last": last}
        file = Path(trainer.default_root_dir, "health.json")
        write_text(file, json.dumps(content, indent=2))
        print = Console(highlight=False, markup=False, soft_wrap=True).print
        print(f"\nhealth: {verdict}")
        for finding in findings:
            print(f"  {finding['what']}: {finding['why']}")

    def state_dict(self) -> dict[str, Any]:
        return self.diagnosis.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.diagnosis.state = state_dict
