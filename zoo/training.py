"""From checked settings to a trained model."""

import json
import logging
import shutil
import warnings
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import torch
from hydra.utils import get_class
from omegaconf import OmegaConf
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.callbacks import Checkpoint, ProgressBar
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from zoo.base import Diverged
from zoo.catalog import dotted_path
from zoo.checkpoints import read_lightning
from zoo.config import checked
from zoo.engine.resume import check_settings, settings_of
from zoo.errors import UserError
from zoo.loggers.csv import CSV
from zoo.pairing import check_batch_keys, check_labels, check_levels, data_shape
from zoo.strategy import TurnStrategy, refuse_plain_ddp

# What these errors say before training begins is for the user: a wrong setting, and the way out.
MISTAKES = (MisconfigurationException, ValueError, OSError, ImportError)


def train(settings, arguments=()):
    """Trains what the settings of `zoo.config.check` describe and returns the Trainer.

    arguments: those of the command line, kept in the run's folder for `resume=`.
    """
    quieten()
    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    with told_to_the_user():
        seed_everything(settings["seed"], verbose=False)
        data = build(settings["data"])
        if settings["extractor"]:
            node = {"_target_": data.extractor} | settings["extractor"]
            data.extractor = checked(node, "extractor")
        settings["model"] |= data_shape(settings["model"], data)
        model = build(settings["model"])
        check_batch_keys(model, data)
        check_labels(model, data)
        check_levels(model, data)
        trainer = build_trainer(settings, new_folder(settings))
        checkpoint = last_checkpoint(settings["resume"])
        batches = (
            check_resume(checkpoint, model, data, trainer, settings["seed"]) if checkpoint else 0
        )
        write_folder(trainer, settings, arguments, checkpoint)
        for logger in trainer.loggers:
            logger.log_hyperparams({group: settings[group] for group in ("seed", "model", "data")})
    try:
        trainer.fit(model, datamodule=data, ckpt_path=checkpoint)
    except Diverged as error:
        raise UserError(
            f"{error}: training has diverged and was stopped. {kept(trainer)}"
        ) from error
    except MISTAKES as error:
        if trainer.global_step > batches:  # training has begun: not a setting, but a fault
            raise
        withdraw(trainer)
        raise UserError(str(error)) from error
    return trainer


def kept(trainer):
    """What is left of a diverged run, and what may help."""
    file = Path(trainer.default_root_dir, "checkpoints", "last.ckpt")
    good = f"The last good checkpoint is {file}." if file.exists() else "No checkpoint was due yet."
    return f"{good} A lower model.lr or model.gradient_clip=1 may help."


def quieten():
    """Leaves out Lightning's remarks that do not apply here: data have one loader, of our own."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for remark in (
        "You passed in a `val_dataloader` but have no `validation_step`",
        "Experiment logs directory .* exists and is not empty",  # the run's folder, new
        "The number of training batches .* is smaller than the logging interval",
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    ):
        warnings.filterwarnings("ignore", message=remark)


@contextmanager
def told_to_the_user():
    """Turns MISTAKES into UserErrors."""
    try:
        yield
    except MISTAKES as error:
        raise UserError(str(error)) from error


def build(node, **given):
    """The object that a config node describes."""
    values = {name: value for name, value in node.items() if name != "_target_"}
    return get_class(node["_target_"])(**values | given)


def last_checkpoint(resume):
    """The checkpoint to resume from: a file, or the last one of a run's folder; None without."""
    if resume is None:
        return None
    path = Path(resume)
    path = path / "checkpoints" / "last.ckpt" if path.is_dir() else path
    if not path.exists():
        raise UserError(f"resume={resume}: there is no checkpoint {path}.")
    return path


def check_resume(checkpoint, model, data, trainer, seed):
    """The number of batches that a checkpoint has seen; UserError if the run cannot go on."""
    content = read_lightning(checkpoint)
    if content["class"] != dotted_path(model):
        raise UserError(f"{checkpoint} is of a {content['class']}, not of a {dotted_path(model)}.")
    then = {f"model.{name}": value for name, value in content["hyperparameters"].items()}
    now = {f"model.{name}": value for name, value in model.hparams.items()} | {"seed": seed}
    then |= {"seed": content["seed"]} | content["run"]["settings"]
    check_settings(then, now | settings_of(trainer, data))
    for limit, seen in (("max_steps", content["batches"]), ("max_epochs", content["epochs"])):
        if 0 <= (getattr(trainer, limit) or -1) <= seen:
            raise UserError(
                f"{checkpoint} has seen {content['batches']} batches already: to go on, raise "
                f"trainer.{limit}, now {getattr(trainer, limit)}."
            )
    return content["batches"]


def new_folder(settings):
    """Where the run is to write."""
    if settings["folder"]:
        return Path(settings["folder"])
    names = [settings[group]["_target_"].split(".")[-2] for group in ("model", "data")]
    run = Path("outputs", "_".join(names), f"{datetime.now():%Y-%m-%d_%H-%M-%S}")
    used = sum(1 for _ in run.parent.glob(f"{run.name}*"))
    return run.with_name(f"{run.name}_{used}") if used else run


@rank_zero_only
def write_folder(trainer, settings, arguments, checkpoint):
    """Makes the run's folder, with the settings in it and the best checkpoint of a resumed run."""
    folder = Path(trainer.default_root_dir)
    if (folder / "checkpoints").exists():
        raise UserError(f"folder={folder} holds a run: take another, or resume={folder}.")
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.create(settings), folder / "config.yaml")
    own = [a for a in arguments if not a.startswith(("resume=", "folder="))]
    (folder / "arguments.json").write_text(json.dumps(own))
    print(f"{folder}: {' '.join(own)}")
    best = checkpoint and checkpoint.with_name("best.ckpt")
    if best and best.exists():
        (folder / "checkpoints").mkdir()
        shutil.copy2(best, folder / "checkpoints")


@rank_zero_only
def withdraw(trainer):
    """Takes the folder of a run that never began back, unless there is more than settings in it."""
    folder = Path(trainer.default_root_dir)
    if {f.name for f in folder.iterdir()} <= {"config.yaml", "arguments.json", "hparams.yaml"}:
        shutil.rmtree(folder)


def build_trainer(settings, folder):
    """The Trainer of the settings; with several processes, in TurnStrategy unless they say."""
    callbacks = [build(node) for node in settings["callbacks"].values()]
    logger = build(settings["logger"], folder=str(folder))
    arguments = {
        "default_root_dir": folder,
        "callbacks": callbacks,
        "logger": [logger] if isinstance(logger, CSV) else [CSV(str(folder)), logger],
        "max_epochs": -1,
        "num_sanity_val_steps": 0,
        "enable_model_summary": False,
        "enable_autolog_hparams": False,  # the settings are logged instead, data and model apart
        "enable_checkpointing": any(isinstance(c, Checkpoint) for c in callbacks),
        "enable_progress_bar": any(isinstance(c, ProgressBar) for c in callbacks),
    } | settings["trainer"]
    most, cadence = arguments.get("max_steps") or -1, arguments.get("log_every_n_steps")
    if cadence and 0 < most < cadence:  # else a short run would log nothing
        arguments["log_every_n_steps"] = most
    try:
        trainer = Trainer(**arguments)
    except (MisconfigurationException, ValueError) as error:
        count = torch.cuda.device_count()
        raise UserError(
            f"Lightning refuses these trainer.* ({count} GPUs here): {error}"
        ) from error
    if isinstance(trainer.strategy, DDPStrategy) and arguments.get("strategy", "auto") == "auto":
        trainer = Trainer(**arguments | {"strategy": TurnStrategy()})
    refuse_plain_ddp(trainer.strategy)
    return trainer
