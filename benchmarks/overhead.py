"""Measure the overhead of Lightning and the base class per batch: python -m benchmarks.overhead

Trains the same WGAN on the same 3x32x32 batches with a plain loop and with the Trainer, the base
class and a CSV log every 50 batches. Both use the same memory layout and optimizers, and no EMA.
One thread, in alternation, median of the rounds. The networks are narrow, because the overhead per
batch does not depend on their cost.
"""

import statistics
import tempfile
from collections.abc import Iterator, Sequence

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from benchmarks.clock import now
from zoo.adversarial.wgan import WGAN
from zoo.base import GenerativeModule
from zoo.engine import speed
from zoo.loggers.csv import CSV

BATCHES, COUNT, ROUNDS = 300, 8, 15


def new_model() -> WGAN:
    """Build the WGAN with new weights."""
    return WGAN(image_size=32, image_channels=3, width=2)


def time_plain_loop(batches: Sequence[dict[str, Tensor]]) -> float:
    """Train with a plain loop of Algorithm 1.

    Args:
        batches: Ready batches.

    Returns:
        Milliseconds per batch.
    """
    model = new_model()
    speed.to_channels_last(model)
    critic, generator = model.critic, model.generator
    critic_optimizer, generator_optimizer = optimizers = model.configure_optimizers()
    for optimizer in optimizers:
        speed.use_fused(optimizer)
    started = now()
    for number, batch in enumerate(batches, start=1):
        critic_optimizer.zero_grad()
        with torch.no_grad():
            fake = generator(torch.randn(COUNT, 100))
        loss = critic(fake).mean() - critic(batch["image"]).mean()
        loss.backward()
        critic_optimizer.step()
        with torch.no_grad():
            for parameter in critic.parameters():
                parameter.clamp_(-0.01, 0.01)
        if number % 5 == 0:
            critic.requires_grad_(False)
            generator_optimizer.zero_grad()
            loss = -critic(generator(torch.randn(COUNT, 100))).mean()
            loss.backward()
            generator_optimizer.step()
            critic.requires_grad_(True)
    return (now() - started) / len(batches) * 1e3


class Clock(Callback):
    """Measures the training loop, without Lightning's setup and teardown."""

    def on_train_epoch_start(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.started = now()

    def on_train_epoch_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.seconds = now() - self.started


class Batches:
    """A loader of ready batches, because Lightning interprets a list as several loaders.

    Args:
        batches: The batches.
    """

    def __init__(self, batches: Sequence[dict[str, Tensor]]):
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return iter(self.batches)


def time_zoo(batches: Sequence[dict[str, Tensor]]) -> float:
    """Train with Trainer.fit.

    Args:
        batches: Ready batches.

    Returns:
        Milliseconds per batch.
    """
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_steps=len(batches),
            max_epochs=1,
            accelerator="cpu",
            logger=CSV(folder),
            log_every_n_steps=50,
            callbacks=[clock],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(new_model(), Batches(batches))
    return clock.seconds / len(batches) * 1e3


def main() -> None:
    """Print the times per batch and the overhead."""
    torch.set_num_threads(1)
    batches = [{"image": torch.rand(COUNT, 3, 32, 32) * 2 - 1} for _ in range(BATCHES)]
    time_plain_loop(batches), time_zoo(batches)  # warm up
    rounds = [(time_plain_loop(batches), time_zoo(batches)) for _ in range(ROUNDS)]
    plain, zoo = (statistics.median(column) for column in zip(*rounds, strict=True))
    overhead = statistics.median(zoo_ms - plain_ms for plain_ms, zoo_ms in rounds)
    print(f"plain loop {plain:.2f} ms per batch, with Lightning and the base class {zoo:.2f} ms")
    print(f"overhead: {overhead:.2f} ms per batch ({ROUNDS} rounds of {BATCHES} batches)")


if __name__ == "__main__":
    main()
