"""Save audio samples during training."""

from pathlib import Path
from typing import Annotated

import torch
from pytorch_lightning import Trainer

from callbacks.samples import Samples
from zoo.base import GenerativeModule
from zoo.config.ranges import in_range
from zoo.engine.conditions import conditions_of
from zoo.engine.sampling import draw
from zoo.media.audio import log_audio, save_wav


class Sounds(Samples):
    """Generate audio samples regularly and at the end, from the same noise each time.

    Sounds are written as 16-bit WAV to sounds/BATCH_NUMBER.wav in the run's folder, and to every
    logger that accepts audio.

    Args:
        every: Generate every `every` batches; 0 generates only at the end.
        count: Number of samples.
        seed: Seed of the noise.
    """

    @in_range
    def __init__(self, every: Annotated[int, "[0, inf)"] = 1000, count: int = 8, seed: int = 0):
        super().__init__(every, count, seed)

    def setup(self, trainer: Trainer, model: GenerativeModule, stage: str) -> None:
        if not hasattr(trainer.datamodule, "sample_rate"):
            raise ValueError("callbacks.sounds needs audio data.")
        super().setup(trainer, model, stage)

    def draw(self, trainer: Trainer, model: GenerativeModule) -> None:
        with model.evaluating():
            condition = conditions_of(model, trainer.datamodule, self.count)
            samples = torch.cat(list(draw(model, self.count, self.seed, condition))).cpu()
        self.last_batch = batch = trainer.global_step
        if trainer.is_global_zero:
            rate, folder = trainer.datamodule.sample_rate, Path(trainer.default_root_dir, "sounds")
            for number, sample in enumerate(samples):
                save_wav(sample, folder / f"{batch:07d}_{number}.wav", rate)
            for logger in trainer.loggers:
                log_audio(logger, "sounds", samples, rate, batch)
