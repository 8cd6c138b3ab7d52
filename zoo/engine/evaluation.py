"""What Lightning's validate, test and predict do with a model."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor

from zoo.config.errors import Diverged
from zoo.engine.batch_checks import readable
from zoo.engine.seeds import reseed
from zoo.engine.strategy import sync_buffers


@contextmanager
def evaluating(model) -> Iterator:
    """Averaged weights where there are any, eval mode, no gradients, an RNG state of its own.

    Everything is restored afterwards. Every process must enter.

    Raises:
        Diverged: A weight is not finite, on every process.
    """
    if model._trainer is not None:
        check_finite(model)
    modes = {module: module.training for module in model.modules()}
    accelerators = [model.device] if model.device.type != "cpu" else []
    with torch.no_grad(), torch.random.fork_rng(accelerators, device_type=model.device.type):
        try:
            with model.eval().averages.in_place(model):
                yield model
        finally:
            for module, mode in modes.items():
                module.training = mode


def check_finite(model: LightningModule) -> None:
    """Average the buffers over processes, then check all weights and buffers.

    One synchronisation with the device.

    Raises:
        Diverged: A value is not finite on any process.
    """
    sync_buffers(model)
    state = model.state_dict()
    finite = torch.stack([value.isfinite().all() for value in state.values()]).tolist()
    if not all(finite):
        name = list(state)[finite.index(False)]
        raise Diverged(f"{name} is not finite at batch {model.trainer.global_step}")


def check(trainer: Trainer, stage: str) -> None:
    """Refuse trainer.validate and trainer.test where nothing would be measured.

    Raises:
        MisconfigurationException: no callback measures, or no validation samples are held out.
    """
    if stage not in ("validate", "test"):
        return
    if not any(getattr(callback, "measures", False) for callback in trainer.callbacks):
        raise MisconfigurationException(
            f"trainer.{TrainerFn(stage).value} measures by the callback Metrics: give the Trainer "
            "callbacks=[callbacks.metrics.Metrics()]."
        )
    data = readable(trainer.datamodule)
    if stage == "validate" and data is not None and not len(data.source("val")):
        raise MisconfigurationException(
            f"{type(data).__name__} holds no validation samples out: trainer.validate needs some "
            "(data.val_count, data.val_fraction)."
        )


def validation_step(trainer: Trainer | None) -> Callable | None:
    """A step that does nothing, because callbacks/metrics.py measures when all steps are done.

    None in training and before it: Lightning then leaves its own validation loop out.
    """
    measuring = trainer is not None and trainer.state.fn != "fit"
    return (lambda batch, batch_idx: None) if measuring else None


def predict(model, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
    """Samples of a model, as many as a batch holds and under its conditions.

    They depend on the seed of the run and the place of the batch in the whole set alone, provided
    that batch b belongs to process b mod world_size, as those of a DataModule do.
    """
    trainer, count = model.trainer, len(next(iter(batch.values())))
    place = batch_idx * trainer.world_size + trainer.global_rank
    devices = [model.device] if model.device.type != "cpu" else []
    with (
        torch.random.fork_rng(devices, device_type=model.device.type),
        model.averages.in_place(model),
    ):
        reseed(model.device, int(os.environ.get("PL_GLOBAL_SEED", 0)), "predict", place)
        return model.sample(count, {name: batch[name] for name in model.conditions} or None)
