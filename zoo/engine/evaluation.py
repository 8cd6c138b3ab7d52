"""Evaluation: averaged weights, eval mode, and Lightning's validate, test and predict."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from zoo.config.errors import Diverged
from zoo.engine.batch_checks import zoo_data_module
from zoo.engine.gradient_sync import sync_buffers
from zoo.engine.seeds import reseed, run_seed

# Data modules have validation samples, which callbacks/metrics.py reads: see `validation_step`.
warnings.filterwarnings(
    "ignore", "You passed in a `val_dataloader` but have no `validation_step`", UserWarning
)


@contextmanager
def evaluating(model: Any) -> Iterator[Any]:
    """Evaluate: averaged weights where there are any, eval mode, no gradients, own RNG state.

    Everything is restored afterwards. Every process must enter.

    Args:
        model: The model, which the block receives.

    Raises:
        Diverged: A weight is not finite, on every process.
    """
    if model._trainer is not None:
        check_finite(model)
    accelerators = [model.device] if model.device.type != "cpu" else []
    with (
        torch.no_grad(),
        torch.random.fork_rng(accelerators, device_type=model.device.type),
        eval_mode(model),
        model.averages.in_place(model),
    ):
        yield model


@contextmanager
def eval_mode(network: nn.Module) -> Iterator[None]:
    """Put a network in eval mode, and restore the mode of each of its modules afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def check_finite(model: LightningModule) -> None:
    """Average the buffers over processes, then check that all weights and buffers are finite.

    This synchronizes with the device once.

    Raises:
        Diverged: A value is not finite on any process.
    """
    sync_buffers(model)
    state = model.state_dict()
    finite = torch.stack([value.isfinite().all() for value in state.values()]).tolist()
    if not all(finite):
        name = list(state)[finite.index(False)]
        raise Diverged(f"{name} is not finite at batch {model.trainer.global_step}")


def check(trainer: Any, stage: str) -> None:
    """Refuse trainer.validate and trainer.test where nothing would be computed.

    Args:
        trainer: The Trainer.
        stage: fit, validate, test or predict.

    Raises:
        MisconfigurationException: No callback computes metrics, or there are no validation samples.
    """
    if stage not in ("validate", "test"):
        return
    if not any(getattr(callback, "measures", False) for callback in trainer.callbacks):
        raise MisconfigurationException(
            f"trainer.{TrainerFn(stage).value} needs the callback that computes metrics: "
            "Trainer(callbacks=[callbacks.metrics.Metrics()])."
        )
    data = zoo_data_module(trainer.datamodule)
    if stage == "validate" and data is not None and not len(data.source("val")):
        raise MisconfigurationException(
            f"{type(data).__name__} has no validation samples, which trainer.validate needs: set "
            "data.val_count or data.val_fraction."
        )


def validation_step(trainer: Trainer | None) -> Callable | None:
    """Return a step that does nothing: callbacks/metrics.py computes metrics after all steps.

    Returns:
        None in training and before it: Lightning then skips its own validation loop.
    """
    evaluates = trainer is not None and trainer.state.fn != "fit"
    return (lambda batch, batch_idx: None) if evaluates else None


def predict(model: Any, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
    """Draw as many samples as a batch holds, under its conditions.

    They depend only on the seed of the run and the index of the batch in the whole set, if batch b
    belongs to process b mod world_size, as in a DataModule of the zoo.

    Args:
        model: The model.
        batch: The batch.
        batch_idx: Its index on this process.

    Returns:
        Samples (N, ...). See GenerativeModule.sample.
    """
    trainer, count = model.trainer, len(next(iter(batch.values())))
    index = batch_idx * trainer.world_size + trainer.global_rank
    devices = [model.device] if model.device.type != "cpu" else []
    with (
        torch.random.fork_rng(devices, device_type=model.device.type),
        model.averages.in_place(model),
    ):
        reseed(model.device, run_seed(), "predict", index)
        return model.sample(count, {name: batch[name] for name in model.conditions} or None)
