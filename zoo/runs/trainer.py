"""Lightning's Trainer from the settings of a run."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Checkpoint, ProgressBar, RichModelSummary
from pytorch_lightning.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from zoo.config import trust
from zoo.config.errors import UserError
from zoo.config.settings import Choice, Settings
from zoo.engine.gradient_sync import TurnStrategy, refuse_plain_ddp
from zoo.engine.signals import Signals, StopOnSignal
from zoo.loggers.csv import CSV
from zoo.runs import launch

PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}


def build(group: str, choice: Choice, **values: Any) -> Any:
    """Construct the object of a choice.

    Args:
        group: model, data, callbacks, logger or extractor.
        choice: The class and the values of its parameters.
        values: Further values.
    """
    return trust.import_class(group, choice.target)(**choice.values | values)


def build_trainer(settings: Settings, folder: Path) -> Trainer:
    """Build the Trainer of a run.

    Several processes use TurnStrategy, unless the settings name a strategy.

    Raises:
        UserError: Lightning refuses the arguments, or they do not fit the processes.
    """
    arguments = trainer_arguments(settings, folder)
    try:
        trainer = Trainer(**arguments)
    except (MisconfigurationException, ValueError) as error:
        count = torch.cuda.device_count()
        raise UserError(
            f"Lightning rejects the trainer settings ({count} GPUs available): {error}"
        ) from error
    if isinstance(trainer.strategy, DDPStrategy) and arguments.get("strategy", "auto") == "auto":
        trainer = Trainer(**arguments | {"strategy": TurnStrategy()})
    several_on_cpu = trainer.world_size > 1 and trainer.strategy.root_device.type == "cpu"
    if settings.trainer.get("sync_batchnorm") and several_on_cpu:
        raise UserError("trainer.sync_batchnorm=true needs GPUs: leave it out on the CPU.")
    refuse_plain_ddp(trainer.strategy)
    launch.check_world(trainer.world_size, "trainer.")
    return trainer


def trainer_arguments(settings: Settings, folder: Path) -> dict[str, Any]:
    """Return the arguments of Lightning's Trainer: ours, and those of the settings over them."""
    callbacks = build_callbacks(settings)
    logger = build("logger", settings.logger, folder=str(folder))
    arguments: dict[str, Any] = {
        "default_root_dir": folder,
        "callbacks": callbacks,
        "logger": [logger] if isinstance(logger, CSV) else [CSV(str(folder)), logger],
        "max_epochs": -1,
        "num_sanity_val_steps": 0,
        "enable_model_summary": False,
        "enable_autolog_hparams": False,  # the settings are logged instead, data and model apart
        "enable_checkpointing": any(isinstance(c, Checkpoint) for c in callbacks),
        "enable_progress_bar": any(isinstance(c, ProgressBar) for c in callbacks),
    } | launch.default_devices(settings.trainer)
    arguments |= settings.trainer
    if arguments.get("profiler") in PROFILERS:  # Lightning's own report goes to a hidden log
        profiler = PROFILERS[arguments["profiler"]](dirpath=folder, filename="profile")
        arguments["profiler"] = profiler
    limit, cadence = arguments.get("max_steps") or -1, arguments.get("log_every_n_steps")
    if cadence and 0 < limit < cadence:  # otherwise a short run would log nothing
        arguments["log_every_n_steps"] = limit
    return arguments


def build_callbacks(settings: Settings) -> list[Any]:
    """Build the chosen callbacks, and those that stop on signals and print the model's summary."""
    callbacks = [build("callbacks", choice) for choice in settings.callbacks.values()]
    if not any(isinstance(getattr(c, "signals", None), Signals) for c in callbacks):
        callbacks.append(StopOnSignal())
    if settings.trainer.get("enable_model_summary"):  # Lightning's own goes to a hidden log
        callbacks.append(RichModelSummary())
    return callbacks
