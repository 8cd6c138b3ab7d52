"""What Lightning and the base add to a step: python -m benchmarks.overhead

Trains the same WGAN on the same 3x32x32 batches by a bare loop and by the Trainer with the base
class and a CSV log every 50 batches; layout and optimizers are alike, EMA is in neither. On one
thread, alternating, median of the rounds. The networks are narrow: the overhead is a time a batch,
whatever they cost.
"""

import statistics
import tempfile

import torch
from pytorch_lightning import Callback, Trainer

from benchmarks.clock import now
from zoo.adversarial.wgan import WGAN
from zoo.base import GenerativeModule
from zoo.engine import speed
from zoo.loggers.csv import CSV

BATCHES, COUNT, ROUNDS = 300, 8, 15


def new_model():
    return WGAN(image_size=32, image_channels=3, width=2)


def plain(batches):
    """Milliseconds a batch of Algorithm 1 written out."""
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
    """Times the training loop alone, without what Lightning does once a run."""

    def on_train_epoch_start(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.started = now()

    def on_train_epoch_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.seconds = now() - self.started


class Batches:
    """A loader of ready batches; Lightning takes a plain list for several loaders."""

    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        return iter(self.batches)


def ours(batches):
    """Milliseconds a batch through Trainer.fit."""
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
    torch.set_num_threads(1)
    batches = [{"image": torch.rand(COUNT, 3, 32, 32) * 2 - 1} for _ in range(BATCHES)]
    plain(batches), ours(batches)  # warm up
    rounds = [(plain(batches), ours(batches)) for _ in range(ROUNDS)]
    theirs, mine = (statistics.median(column) for column in zip(*rounds, strict=True))
    added = statistics.median(ours_ms - plain_ms for plain_ms, ours_ms in rounds)
    print(f"bare loop {theirs:.2f} ms a batch, with Lightning and the base {mine:.2f} ms")
    print(f"added: {added:.2f} ms a batch (median of {ROUNDS} rounds of {BATCHES} batches)")


if __name__ == "__main__":
    main()
