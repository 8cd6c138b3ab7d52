"""From checked settings to a trained model."""

import json
import logging
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import torch
from omegaconf import OmegaConf
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.callbacks import Checkpoint, ProgressBar, RichModelSummary
from pytorch_lightning.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from zoo.atomic_files import is_disk_error, remove_drafts
from zoo.config import trust
from zoo.config.compatibility import check_batch_keys, check_labels, check_levels, data_shape
from zoo.config.composition import checked
from zoo.config.errors import Diverged, UserError, one_line
from zoo.config.trainer_arguments import check_for_model
from zoo.engine.batch_checks import WAY_OUT, readable
from zoo.engine.distributed import on_rank_zero
from zoo.engine.signals import Signals, StopOnSignal, Stopped, stopping_at_once
from zoo.engine.strategy import TurnStrategy, refuse_plain_ddp
from zoo.loggers.csv import CSV
from zoo.runs import launch
from zoo.runs.memory import LESS_MEMORY, check_size, out_of_memory
from zoo.runs.resume import check_resume, finish_even_without_batches, last_checkpoint
from zoo.runs.run_folder import RunFolder, claim

PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}
# What these errors say before training begins is for the user: a wrong setting, and the way out.
MISTAKES = (MisconfigurationException, ValueError, OSError, ImportError)


def train(settings, arguments=()):
    """Trains what the settings of `zoo.config.composition.check` describe and returns the Trainer.

    arguments: those of the command line, kept in the run's folder for `resume=`.
    """
    quieten()
    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    with stopping_at_once():
        with told_to_the_user():
            seed_everything(settings["seed"], verbose=False)
            model, data = new_model(settings)
            checkpoint = last_checkpoint(settings["resume"])
            folder = new_folder(settings, checkpoint)
        batches, trainer = 0, None
        try:
            trainer = build_trainer(settings, folder.path)
            if checkpoint:
                batches = check_resume(checkpoint, model, data, trainer, settings["seed"])
                finish_even_without_batches(trainer)
            write_folder(folder, arguments, checkpoint)
            for logger in trainer.loggers:
                logger.log_hyperparams({name: settings[name] for name in ("seed", "model", "data")})
            with launch.children(trainer, folder.path):
                trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        except BaseException as error:
            # A UserError of the first batch is a mistake, too: nothing was trained before it.
            untrained = batches + isinstance(error, UserError)
            if trainer is not None and trainer.global_step > untrained:
                if (told := explained(error, trainer)) is error:
                    raise
                raise told from error
            rank_zero_only(folder.withdraw)()
            if isinstance(error, Stopped):
                print(f"Stopped by {error.signal.name}: no batch was trained.", file=sys.stderr)
            with told_to_the_user():
                raise
    return trainer


def new_model(settings):
    """The model and its data, once they are known to fit each other."""
    data = build("data", settings["data"])
    if settings["extractor"] and readable(data) is None:
        raise UserError(
            f"extractor=NAME is for callbacks.metrics, which cannot read {type(data).__name__}: it "
            f"is no datamodules.base.DataModule. {WAY_OUT}."
        )
    if settings["extractor"]:
        node = {"_target_": data.extractor} | settings["extractor"]
        data.extractor = checked(node, "extractor")
    settings["model"] |= data_shape(settings["model"], data)
    values = {name: value for name, value in settings["model"].items() if name != "_target_"}
    check_size(trust.import_class("model", settings["model"]["_target_"]), values)
    model = build("model", settings["model"])
    check_batch_keys(model, data)
    check_labels(model, data)
    check_levels(model, data)
    check_for_model(settings["trainer"], model, data)
    return model, data


def explained(error, trainer):
    """What a command raises for an error in training: one message where the user can act.

    What stops all processes is told by the first of them. One that another has started then ends
    with status 0, because Lightning kills the whole run for any other.
    """
    together, text = isinstance(error, Stopped) and error.agreed, None
    if isinstance(error, Diverged):
        text = f"{error}: training has diverged and was stopped. {kept(trainer)} "
        text += "A lower model.lr or model.gradient_clip=1 may help."
    elif out_of_memory(error):
        text = f"{one_line(error)[:200]}: training was stopped. {kept(trainer)} {LESS_MEMORY}"
    elif is_disk_error(error):
        text = f"{error}: training was stopped. {kept(trainer)}"
    if (text or together) and launch.inherited_folder():
        return SystemExit(0)
    if text and trainer.global_rank:
        return SystemExit(1)
    return UserError(text) if text else error


def kept(trainer):
    """What is left of a run that broke."""
    file = Path(trainer.default_root_dir, "checkpoints", "last.ckpt")
    return f"The last good checkpoint is {file}." if file.exists() else "No checkpoint was due yet."


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
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise UserError(f"{one_line(error)[:200]}. {LESS_MEMORY}") from error


def build(group, node, **given):
    """The object that a config node of a group describes."""
    values = {name: value for name, value in node.items() if name != "_target_"}
    return trust.import_class(group, node["_target_"])(**values | given)


def new_folder(settings, checkpoint):
    """The RunFolder of a run, made by its first process, with its settings in it."""
    if inherited := launch.inherited_folder():
        return RunFolder(inherited)
    bare = {"callbacks": {}, "logger": {"_target_": "zoo.loggers.csv.CSV"}}
    launch.connect(build_trainer(settings | bare, Path()))
    names = [settings[group]["_target_"].split(".")[-2] for group in ("model", "data")]
    resume = checkpoint and str(checkpoint.absolute())
    text = OmegaConf.to_yaml(OmegaConf.create(settings | {"resume": resume}))
    return on_rank_zero(claim, settings["folder"], Path("outputs", "_".join(names)), text)


@rank_zero_only
def write_folder(folder, arguments, checkpoint):
    """Completes a run's folder: how to resume it, and the best checkpoint of the run it resumes."""
    own = [a for a in arguments if not a.startswith(("resume=", "folder=", "trust="))]
    folder.write("arguments.json", json.dumps(own))
    print(f"{folder.path}: {' '.join(own)}")
    if checkpoint:
        remove_drafts(checkpoint.parent)
        best = checkpoint.with_name("best.ckpt")
        if best.exists():
            folder.copy(best)


def build_trainer(settings, folder):
    """The Trainer of the settings; with several processes, in TurnStrategy unless they say."""
    callbacks = [build("callbacks", node) for node in settings["callbacks"].values()]
    if not any(isinstance(getattr(c, "signals", None), Signals) for c in callbacks):
        callbacks.append(StopOnSignal())
    logger = build("logger", settings["logger"], folder=str(folder))
    given = settings["trainer"]
    if given.get("enable_model_summary"):  # Lightning's own goes to a log that is not shown
        callbacks.append(RichModelSummary())
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
    } | launch.devices(given)
    arguments |= given
    if arguments.get("profiler") in PROFILERS:  # likewise
        profiler = PROFILERS[arguments["profiler"]](dirpath=folder, filename="profile")
        arguments["profiler"] = profiler
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
    several_on_cpu = trainer.world_size > 1 and trainer.strategy.root_device.type == "cpu"
    if given.get("sync_batchnorm") and several_on_cpu:
        raise UserError("trainer.sync_batchnorm=true needs GPUs: leave it out on the CPU.")
    refuse_plain_ddp(trainer.strategy)
    launch.check_world(trainer.world_size, "trainer.")
    return trainer
