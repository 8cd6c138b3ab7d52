"""Pictures of what the model makes."""

from pathlib import Path
from typing import Annotated, Any

import torch
from pytorch_lightning import Callback, Trainer

from zoo.base import GenerativeModule
from zoo.config.ranges import in_range
from zoo.engine.batch_checks import readable
from zoo.engine.conditions import conditions_of
from zoo.engine.sampling import draw
from zoo.engine.seeds import reseed
from zoo.media.audio import spectrograms
from zoo.media.images import grid_of, log_image, save_gif, save_png


class Samples(Callback):
    """A picture of samples every so many batches and at the end, from the same latents each time.

    Written to samples/<batch>.png in the run's folder and to every logger that takes images; the
    model's own `pictures` beside it, as samples/<batch>_<name>.png, or .gif of a film.
    """

    @in_range
    def __init__(self, every: Annotated[int, "[0, inf)"] = 1000, count: int = 64, seed: int = 0):
        self.every = every
        self.count = count
        self.seed = seed
        self.drawn: int | None = None  # the batch of the latest grid

    def on_train_start(self, trainer: Trainer, model: GenerativeModule) -> None:
        conditions_of(model, trainer.datamodule, 1)  # refused before any work is done

    def on_train_batch_end(
        self, trainer: Trainer, model: GenerativeModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.every and trainer.global_step % self.every == 0:
            self.draw(trainer, model)

    def on_train_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        if self.drawn != trainer.global_step:
            self.draw(trainer, model)

    def draw(self, trainer: Trainer, model: GenerativeModule) -> None:
        with model.evaluating():
            condition = conditions_of(model, trainer.datamodule, self.count)
            samples = torch.cat(list(draw(model, self.count, self.seed, condition)))
            reseed(model.device, self.seed, "pictures")
            own = model.figures(readable(trainer.datamodule))
        self.drawn = batch = trainer.global_step
        if trainer.is_global_zero:
            usual = spectrograms if samples.dim() == 2 else grid_of
            figure = getattr(trainer.datamodule, "figure", usual)(samples.cpu())
            folder = Path(trainer.default_root_dir, "samples")
            for name, image in {"samples": figure, **own}.items():
                ending = "" if name == "samples" else f"_{name}"
                if image.dim() == 4:
                    save_gif(image, folder / f"{batch:07d}{ending}.gif")
                    continue
                save_png(image, folder / f"{batch:07d}{ending}.png")
                for logger in trainer.loggers:
                    log_image(logger, name, image, batch)
