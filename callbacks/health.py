"""Monitor the training of a generator and its adversary, and print a diagnosis."""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_warn
from rich.console import Console
from torch import Tensor, nn
from torch.optim import Optimizer

from callbacks.network_hooks import ADVERSARIES, NetworkCallback, first_output, images_of
from zoo import strict_json
from zoo.atomic_files import write_text
from zoo.base import GenerativeModule
from zoo.config.ranges import in_range
from zoo.engine import logs
from zoo.engine.stepping import optimizer_of
from zoo.metrics import gan_health as vitals
from zoo.metrics.diagnosis import MAX_GAP_RATIO, Diagnosis

IMAGES = 64  # number of images per batch whose distances are measured


class Health(NetworkCallback):
    """Monitor the players' training, warn of typical GAN failures, and print a verdict at the end.

    The metrics are logged as train/health_... (see zoo/metrics/gan_health.py): the norm of each
    player's gradient, the adversary's separation of real and generated images, the gap and
    saturation of their logits, the diversity of generated images, and the largest singular value of
    the adversary's layers. The verdict is also written to health.json in the run's folder. Training
    is not affected.

    Args:
        every: Measure every `every` batches.
        player: Name of the adversary's network; by default discriminator or critic. If the model
            has neither, only gradients are measured.
    """

    @in_range
    def __init__(self, every: int = 100, player: str | None = None):
        super().__init__(player)
        self.every = every
        self.started: int | None = None  # the first batch of the measurement in progress
        self.images = torch.zeros(0)  # of the adversary's call in progress
        self.calls: list[tuple[Tensor, Tensor]] = []  # images and logits: real, generated
        self.norms: dict[str, Tensor] = {}  # gradient norms of the players
        self.adversary: nn.Module | None = None
        self.optimizer: Optimizer | None = None  # of the adversary
        self.names: dict[Optimizer, str] = {}  # of the players
        self.reach = math.inf  # the largest gap of logits that is plausible
        self.diagnosis = Diagnosis()

    # Collecting, without synchronizing with the device.

    def setup(self, trainer: Trainer, model: GenerativeModule, stage: str) -> None:
        if self.player or any(hasattr(model, name) for name in ADVERSARIES):
            self.adversary = self.network(model)
        else:
            rank_zero_warn(
                "callbacks.health: there is no discriminator or critic: only gradients are "
                "measured. callbacks.health.player=NAME chooses a network."
            )

    def on_train_start(self, trainer: Trainer, model: GenerativeModule) -> None:
        networks = [(n, net) for n, net in model.named_children() if list(net.parameters())]
        self.names = {}
        for optimizer in trainer.optimizers:
            owners = [
                name for name, net in networks if optimizer_of(model.trainer, net) is optimizer
            ]
            self.names[optimizer] = owners[0] if owners else f"player{len(self.names)}"
        if self.adversary is not None:
            self.undo = self.attach(model, self.adversary)

    def attach(self, model: GenerativeModule, player: nn.Module) -> list[Callable[[], object]]:
        self.optimizer = optimizer = optimizer_of(model.trainer, player)

        def before(player: nn.Module, args: Any, kwargs: Any) -> None:
            self.images = images_of(args, kwargs)  # before noise or augmentation

        def after(player: nn.Module, inputs: Any, output: Any) -> None:
            its_turn = optimizer is not None and model.active_optimizer is optimizer
            if self.started is None or not its_turn:
                return
            images, logits = self.images, first_output(output).detach().float()
            # Images with gradients belong to penalties. Of the other calls, the first is with real
            # images and the last with generated ones.
            if not images.requires_grad and logits.shape == images.shape[:1]:
                self.calls = [*self.calls[:1], (images, logits)]

        hooks = player.register_forward_pre_hook(before, prepend=True, with_kwargs=True)
        return [hooks.remove, player.register_forward_hook(after).remove]

    def on_train_batch_start(
        self, trainer: Trainer, model: GenerativeModule, batch: Any, batch_idx: int
    ) -> None:
        group = -(-(trainer.global_step + 1) // model.hparams.accumulate)  # of the next batch
        self.calls = []
        if self.started is None and (group == 1 or group % self.every == 0):
            self.started, self.norms = trainer.global_step + 1, {}

    def on_before_optimizer_step(
        self, trainer: Trainer, model: GenerativeModule, optimizer: Optimizer
    ) -> None:
        if self.started is not None:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            gradients = [p.grad for p in parameters if p.grad is not None]
            if gradients:
                self.norms[self.names[optimizer]] = vitals.norm(gradients)

    def on_train_batch_end(
        self, trainer: Trainer, model: GenerativeModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.started is None:
            return
        waited = trainer.global_step - self.started  # for players that are updated rarely
        if (
            len(self.norms) == len(set(self.names.values()))
            or waited >= self.every * model.hparams.accumulate - 1
        ):
            self.started = None
            self.log_and_warn(trainer, model)

    # Evaluating.

    def log_and_warn(self, trainer: Trainer, model: GenerativeModule) -> None:
        """Log the collected numbers, and warn about new problems."""
        numbers = self.numbers()
        if not numbers:
            return
        values = torch.stack([value.float() for value in numbers.values()])
        means = trainer.strategy.reduce(values).tolist()  # the only synchronization
        results = dict(zip(numbers, means, strict=True))
        logs.write(trainer, "train", {f"health_{name}": value for name, value in results.items()})
        adversary = self.names[self.optimizer] if self.optimizer else ""
        for new in self.diagnosis.update(trainer.global_step, results, adversary, self.reach):
            rank_zero_warn(
                f"callbacks.health: {new['what']} since batch {new['since']}: {new['why']}"
            )

    def numbers(self) -> dict[str, Tensor]:
        """Compute {name: scalar} of the collected calls and norms."""
        numbers = {f"{name}_gradient": value for name, value in self.norms.items()}
        if self.adversary is not None:
            spectral_norms = vitals.spectral_norms(self.adversary)
            if len(spectral_norms):
                numbers["spectral_norm"] = spectral_norms.max()
        if len(self.calls) == 2:
            (real, real_logit), (fake, fake_logit) = self.calls
            numbers["separation"] = vitals.separation(real_logit, fake_logit)
            numbers["gap"] = real_logit.mean() - fake_logit.mean()
            numbers["saturation"] = vitals.saturation(real_logit, fake_logit)
            if min(len(real), len(fake)) > 1:
                numbers["diversity"] = vitals.diversity(real[:IMAGES], fake[:IMAGES])
            self.reach = MAX_GAP_RATIO * 2 * max(vitals.SATURATED, real[0].numel() ** 0.5)
        self.calls = []
        return numbers

    # The verdict.

    def on_fit_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.report(trainer)

    def on_exception(
        self, trainer: Trainer, model: GenerativeModule, exception: BaseException
    ) -> None:
        super().on_exception(trainer, model, exception)
        if self.diagnosis.count:
            try:
                self.report(trainer)
            except OSError as error:  # must not hide the exception
                print(f"health.json could not be written: {error}", file=sys.stderr)

    def report(self, trainer: Trainer) -> None:
        """Print the verdict and write health.json."""
        if not trainer.is_global_zero:
            return
        diagnosis = self.diagnosis
        last = diagnosis.measurements[-1] if diagnosis.measurements else {}
        verdict, findings = diagnosis.verdict(), diagnosis.findings
        content = {"verdict": verdict, "findings": findings, "last": last}
        file = Path(trainer.default_root_dir, "health.json")
        write_text(file, strict_json.dumps(content))
        print = Console(highlight=False, markup=False, soft_wrap=True).print
        print(f"\nhealth: {verdict}")
        for finding in findings:
            print(f"  {finding['what']}: {finding['why']}")

    def state_dict(self) -> dict[str, Any]:
        return self.diagnosis.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.diagnosis.state = state_dict
