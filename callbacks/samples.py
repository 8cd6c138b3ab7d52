"""Generate samples during training."""

from pathlib import Path
from typing import Annotated, Any

import torch
from pytorch_lightning import Callback, Trainer

from zoo.base import GenerativeModule
from zoo.config.ranges import in_range
from zoo.engine.batch_checks import zoo_data_module
from zoo.engine.conditions import conditions_of
from zoo.engine.sampling import draw
from zoo.engine.seeds import reseed
from zoo.media.audio import spectrograms
from zoo.media.images import grid_of, log_image, save_gif, save_png


class Samples(Callback):
    """Generate samples regularly and at the end, from the same latents each time.

    Images are written to samples/BATCH.png in the run's folder and to every logger that accepts
    images. The model's `figures` are written to samples/BATCH_NAME.png, videos as .gif.

    Args:
        every: Generate every `every` batches; 0 generates only at the end.
        count: Number of samples.
        seed: Seed of the latents.
    """

    @in_range
    def __init__(self, every: Annotated[int, "[0, inf)"] = 1000, count: int = 64, seed: int = 0):
        self.every = every
        self.count = count
        self.seed = seed
        self.last_batch: int | None = None  # the batch of the latest figure

    def setup(self, trainer: Trainer, model: GenerativeModule, stage: str) -> None:
        self.last_batch = None

    def on_train_start(self, trainer: Trainer, model: GenerativeModule) -> None:
        conditions_of(model, trainer.datamodule, 1)  # raises before training

    def on_train_batch_end(
        self, trainer: Trainer, model: GenerativeModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.every and trainer.global_step % self.every == 0:
            self.draw(trainer, model)

    def on_train_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        if self.last_batch != trainer.global_step:
            self.draw(trainer, model)

    def draw(self, trainer: Trainer, model: GenerativeModule) -> None:
        """Generate, write and log samples and the figures of the model."""
        with model.evaluating():
            condition = conditions_of(model, trainer.datamodule, self.count)
            samples = torch.cat(list(draw(model, self.count, self.seed, condition)))
            reseed(model.device, self.seed, "pictures")
            own = model.figures(zoo_data_module(trainer.datamodule))
        self.last_batch = batch = trainer.global_step
        if trainer.is_global_zero:
            default = spectrograms if samples.dim() == 2 else grid_of
            figure = getattr(trainer.datamodule, "figure", default)(samples.cpu())
            folder = Path(trainer.default_root_dir, "samples")
            for name, image in {"samples": figure, **own}.items():
                ending = "" if name == "samples" else f"_{name}"
                if image.dim() == 4:
                    save_gif(image, folder / f"{batch:07d}{ending}.gif")
                    continue
                save_png(image, folder / f"{batch:07d}{ending}.png")
                for logger in trainer.loggers:
                    log_image(logger, name, image, batch)
