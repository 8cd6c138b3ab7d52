"""From checked settings to a trained model."""

import json
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from pytorch_lightning import LightningDataModule, LightningModule, Trainer, seed_everything
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from zoo.atomic_files import is_disk_error, remove_drafts
from zoo.config import trust
from zoo.config.compatibility import check_fit, data_shape, labels_hint
from zoo.config.composition import checked
from zoo.config.errors import Diverged, UserError, one_line
from zoo.config.settings import Choice, Settings
from zoo.config.trainer_arguments import check_for_model
from zoo.engine.batch_checks import WAY_OUT, zoo_data_module
from zoo.engine.distributed import on_rank_zero
from zoo.engine.signals import Stopped, stopping_at_once
from zoo.runs import launch
from zoo.runs.initial_weights import load_initial_weights_
from zoo.runs.limits import finish_without_batches
from zoo.runs.memory import LESS_MEMORY, check_size, out_of_memory
from zoo.runs.resume import check_resume, last_checkpoint
from zoo.runs.run_folder import RunFolder, claim
from zoo.runs.trainer import build, build_trainer

# Errors before training that are mistakes of the user: a wrong setting, and how to correct it.
MISTAKES = (MisconfigurationException, ValueError, OSError, ImportError)


def train(settings: Settings, arguments: Sequence[str] = ()) -> Trainer:
    """Train a model.

    Args:
        settings: Those of the run.
        arguments: The command line, which the run's folder keeps for `resume=`.

    Returns:
        The Trainer after training.

    Raises:
        UserError: The run cannot start, or stops for a reason that the user can act upon.
    """
    silence_lightning()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    with stopping_at_once():
        with mistakes_as_user_errors():
            seed_everything(settings.seed, verbose=False)
            settings, data, model = build_model(settings)
            if settings.init:
                load_initial_weights_(model, settings.init)
            checkpoint = last_checkpoint(settings.resume)
            folder = new_folder(settings, checkpoint)
        batches, trainer = 0, None
        try:
            trainer = build_trainer(settings, folder.path)
            if checkpoint:
                batches = check_resume(checkpoint, model, data, trainer, settings.seed)
                finish_without_batches(trainer)
            write_folder(folder, arguments, checkpoint)
            log_settings(trainer, settings)
            with launch.child_processes(trainer, folder.path):
                trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        except BaseException as error:
            end_failed_run(error, trainer, batches, folder)
            raise
    return trainer


def end_failed_run(
    error: BaseException, trainer: Trainer | None, batches: int, folder: RunFolder
) -> None:
    """Raise the error of a run again, and remove its folder if it has trained nothing.

    Args:
        error: The error.
        trainer: The Trainer; None if it was not built.
        batches: Number of batches that the resumed checkpoint has seen.
        folder: The run's folder.

    Raises:
        UserError: It is a mistake of the user, or there is a way out.
    """
    # A UserError in the first batch is a mistake, too: nothing was trained before it.
    untrained = batches + isinstance(error, UserError)
    if trainer is not None and trainer.global_step > untrained:
        raise_explained(error, trainer)
    withdraw(folder, trainer)
    if isinstance(error, Stopped):
        print(f"Stopped by {error.signal.name}: no batch was trained.", file=sys.stderr)
    with mistakes_as_user_errors():
        raise error


@rank_zero_only
def withdraw(folder: RunFolder, trainer: Trainer | None) -> None:
    """Remove what a run that has trained nothing has written: its logs, then its folder."""
    for logger in trainer.loggers if trainer else ():
        if hasattr(logger, "discard"):  # a logger of the user's may have none
            logger.discard()
    folder.withdraw()


def build_model(settings: Settings) -> tuple[Settings, LightningDataModule, LightningModule]:
    """Build the data module and the model, and check that they fit each other and the memory.

    Returns:
        The settings with the model's parameters that its data decide, the data and the model.

    Raises:
        UserError: They do not fit.
    """
    data = build("data", settings.data)
    if settings.extractor:
        data.extractor = extractor_of(settings.extractor, data).as_dict()
    choice = settings.model.with_values(data_shape(settings.model, data))
    check_size(trust.import_class("model", choice.target), choice.values)
    with labels_hint(choice.target, data):
        model = build("model", choice)
    check_fit(model, data)
    check_for_model(settings.trainer, model, data)
    return replace(settings, model=choice), data, model


def extractor_of(choice: Choice, data: Any) -> Choice:
    """Return the extractor that the data name, as the settings change it.

    Raises:
        UserError: The data are not a DataModule of the zoo.
    """
    if zoo_data_module(data) is None:
        raise UserError(
            f"extractor=NAME is for callbacks.metrics, which cannot read {type(data).__name__}: it "
            f"is not a datamodules.base.DataModule. {WAY_OUT}."
        )
    return checked({"_target_": choice.target or data.extractor, **choice.values}, "extractor")


def raise_explained(error: BaseException, trainer: Trainer) -> None:
    """Raise an error of training again, as one message where the user can act.

    The first process prints the message of an error that stops all processes. A process that it
    has started then exits with status 0, because Lightning kills the whole run for any other.
    """
    agreed, text = isinstance(error, Stopped) and error.agreed, None
    if isinstance(error, Diverged):
        text = f"{error}: training has diverged and was stopped. {last_good_checkpoint(trainer)} "
        text += "A lower model.lr or model.gradient_clip=1 may help."
    elif out_of_memory(error):
        text = f"{one_line(error)[:200]}: training was stopped. {last_good_checkpoint(trainer)} "
        text += LESS_MEMORY
    elif is_disk_error(error):
        text = f"{error}: training was stopped. {last_good_checkpoint(trainer)}"
    if (text or agreed) and launch.inherited_folder():
        raise SystemExit(0) from error
    if text and trainer.global_rank:
        raise SystemExit(1) from error
    if text:
        raise UserError(text) from error
    raise error


def last_good_checkpoint(trainer: Trainer) -> str:
    """Return a sentence that names the last checkpoint of a run that broke."""
    file = Path(trainer.default_root_dir, "checkpoints", "last.ckpt")
    return f"The last good checkpoint is {file}." if file.exists() else "No checkpoint was due yet."


def silence_lightning() -> None:
    """Silence Lightning's remarks that do not apply: the data have their own loader."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for remark in (
        "Experiment logs directory .* exists and is not empty",  # the run's folder, new
        "The number of training batches .* is smaller than the logging interval",
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    ):
        warnings.filterwarnings("ignore", message=remark)


@contextmanager
def mistakes_as_user_errors() -> Iterator[None]:
    """Turn MISTAKES, and a lack of memory, into UserErrors."""
    try:
        yield
    except MISTAKES as error:
        raise UserError(str(error)) from error
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise UserError(f"{one_line(error)[:200]}. {LESS_MEMORY}") from error


def new_folder(settings: Settings, checkpoint: Path | None) -> RunFolder:
    """Create the run's folder on its first process, with config.yaml in it."""
    if inherited := launch.inherited_folder():
        return RunFolder(inherited)
    csv = Choice("zoo.loggers.csv.CSV", {})
    launch.connect(build_trainer(replace(settings, callbacks={}, logger=csv), Path()))
    resumed = replace(settings, resume=str(checkpoint.absolute()) if checkpoint else None)
    text = OmegaConf.to_yaml(OmegaConf.create(resumed.as_dict()))
    usual = Path("outputs", f"{settings.model.name}_{settings.data.name}")
    return on_rank_zero(claim, settings.folder, usual, text)


@rank_zero_only
def write_folder(folder: RunFolder, arguments: Sequence[str], checkpoint: Path | None) -> None:
    """Complete a run's folder: its command line, and the best checkpoint of the resumed run."""
    own = [a for a in arguments if not a.startswith(("resume=", "folder=", "trust="))]
    folder.write("arguments.json", json.dumps(own))
    print(f"{folder.path}: {' '.join(own)}")
    if checkpoint:
        remove_drafts(checkpoint.parent)
        best = checkpoint.with_name("best.ckpt")
        if best.exists():
            folder.copy(best)


def log_settings(trainer: Trainer, settings: Settings) -> None:
    """Give the loggers the settings of the run."""
    values = settings.as_dict()
    for logger in trainer.loggers:
        logger.log_hyperparams({name: values[name] for name in ("seed", "model", "data")})
