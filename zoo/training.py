"""From checked settings to a trained model."""

import json
import logging
import sys
import warnings
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import torch
import yaml
from hydra.utils import get_class
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.callbacks import Checkpoint, ProgressBar
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from zoo import catalog
from zoo.base import Diverged, refuse_plain_ddp
from zoo.errors import UserError
from zoo.loggers.csv import CSV
from zoo.strategy import TurnStrategy


def train(settings):
    """Trains what the settings of `zoo.config.check` describe and returns the Trainer."""
    quieten()
    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    seed_everything(settings["seed"], verbose=False)
    with told_to_the_user():
        data = build(settings["data"])
        settings["model"] |= data_shape(settings["model"], data)
        model = build(settings["model"])
        check_batch_keys(model, data)
        checkpoint = last_checkpoint(settings["resume"])
        folder = new_folder(settings)
        trainer = build_trainer(settings, folder)
    try:
        with told_to_the_user():
            trainer.fit(model, datamodule=data, ckpt_path=checkpoint)
    except Diverged as error:
        kept = sorted((folder / "checkpoints").glob("*.ckpt"))
        kept = f"The last good checkpoint is {kept[-1]}." if kept else "No checkpoint was due yet."
        raise UserError(
            f"{error}: training has diverged and was stopped. {kept} "
            "A lower model.lr or model.gradient_clip=1 may help."
        ) from error
    return trainer


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
    """What these errors say is for the user: they name a wrong setting and the way out."""
    try:
        yield
    except (MisconfigurationException, ValueError, OSError, ImportError) as error:
        raise UserError(str(error)) from error


def build(node, **given):
    """The object that a config node describes."""
    values = {name: value for name, value in node.items() if name != "_target_"}
    return get_class(node["_target_"])(**values | given)


def data_shape(node, data):
    """The parameters of a model that its data decide, for those that the model has."""
    parameters = catalog.describe("model", node["_target_"]).parameters
    shape = {}
    for name in ("image_size", "image_channels", "classes"):
        if name in parameters:
            shape[name] = getattr(data, name)
            if node[name] not in (parameters[name].default, shape[name]):
                raise UserError(
                    f"model.{name}={node[name]}, but the data have {shape[name]}: "
                    f"the data decide it, see data.{name}."
                )
    return shape


def check_batch_keys(model, data):
    missing = [key for key in model.needs if key not in data.provides]
    if missing:
        raise UserError(
            f"{type(model).__name__} needs the batch key {', '.join(missing)}, but "
            f"{type(data).__name__} gives only {', '.join(data.provides)}: choose other data=..."
        )


def last_checkpoint(resume):
    """The checkpoint to resume from: a file, or the last one of a run's folder; None without."""
    if resume is None:
        return None
    path = Path(resume)
    path = path / "checkpoints" / "last.ckpt" if path.is_dir() else path
    if not path.exists():
        raise UserError(f"resume={resume}: there is no checkpoint {path}.")
    return path


def new_folder(settings):
    """The run's folder, made on the first process, with the settings and the arguments in it."""
    if settings["folder"]:
        folder = Path(settings["folder"])
    else:
        names = [settings[g]["_target_"].split(".")[-2] for g in ("model", "data")]
        run = Path("outputs") / "_".join(names) / f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
        used = sum(1 for _ in run.parent.glob(f"{run.name}*"))
        folder = run.with_name(f"{run.name}_{used}") if used else run
    if rank_zero_only.rank == 0:
        if (folder / "config.yaml").exists():
            raise UserError(f"folder={folder} holds a run: take another, or resume={folder}.")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
        kept = [a for a in sys.argv[1:] if not a.startswith(("resume=", "folder=", "hydra", "-"))]
        (folder / "arguments.json").write_text(json.dumps(kept))
    return folder


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
        "enable_checkpointing": any(isinstance(c, Checkpoint) for c in callbacks),
        "enable_progress_bar": any(isinstance(c, ProgressBar) for c in callbacks),
    } | settings["trainer"]
    trainer = Trainer(**arguments)
    if isinstance(trainer.strategy, DDPStrategy) and arguments.get("strategy", "auto") == "auto":
        trainer = Trainer(**arguments | {"strategy": TurnStrategy()})
    refuse_plain_ddp(trainer.strategy)
    return trainer
