"""What a run is made of: kept in its checkpoints, and compared when training goes on from one.

A resumed run may change the trainer's limits, callbacks, loggers, the device, the number of devices
with the same global batch, and what the data name in `changeable_on_resume` (workers, folders).
Everything else would make it another run: it would not be what an unbroken run is.
"""

import json
import math
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from zoo.config.catalog import dotted_path
from zoo.config.errors import UserError
from zoo.engine.seeds import key
from zoo.runs.checkpoints import read_lightning

SPLITS = ("train", "val", "test")
_fingerprints: WeakKeyDictionary[LightningDataModule, Tensor] = WeakKeyDictionary()


def settings_of(trainer: Trainer, data: LightningDataModule | None) -> dict[str, object]:
    """Return {name: value} of the settings of trainer and data that a resumed run may not change.

    Of a data module that is not of the zoo, only the class is known to matter.
    """
    # As text, because a limit of 1 is one batch and of 1.0 all of them.
    names = ("precision", "limit_train_batches", "overfit_batches")
    settings = {f"trainer.{name}": str(getattr(trainer, name)) for name in names}
    # Lightning has no public name for it.
    synced = getattr(trainer.strategy, "_layer_sync", None) is not None
    settings["trainer.sync_batchnorm"] = synced and trainer.world_size > 1
    if data is not None:
        settings["data"] = dotted_path(data)
    if hasattr(data, "changeable_on_resume"):
        settings["global batch (data.batch_size x processes)"] = (
            data.batch_size * trainer.world_size
        )
        changeable = (*data.changeable_on_resume, "batch_size")
        own = {name: value for name, value in data.hparams.items() if name not in changeable}
        settings |= {f"data.{name}": value for name, value in own.items()}
    return settings


def fingerprint(data: LightningDataModule) -> Tensor:
    """Return (F, 3) int64: hash of the path below `root`, bytes and split of each file of the user.

    Empty for data that are not read from a folder of the user's. Computed once a data module.
    """
    if data not in _fingerprints:
        rows = {}
        for place, split in enumerate(SPLITS if hasattr(data, "source_files") else ()):
            for name, file in data.source_files(split).items():
                rows[key("file", name)] = (file.stat().st_size, place)
        table = [(name, *row) for name, row in sorted(rows.items())]
        _fingerprints[data] = torch.tensor(table, dtype=torch.int64).reshape(-1, 3)
    return _fingerprints[data]


def origin(model: LightningModule) -> dict:
    """Return what a checkpoint keeps of its model's class, its data and its run."""
    data = model.trainer.datamodule
    return {
        "class": dotted_path(model),
        "data": data and {"_target_": dotted_path(data), **data.hparams},
        "class_names": list(getattr(data, "class_names", ())),
        "run": record(model.trainer),
    }


def record(trainer: Trainer) -> dict:
    """Return what a checkpoint keeps of its run: settings, sizes of the splits and files."""
    data = trainer.datamodule
    sized = (
        {s: len(data.source(s)) for s in SPLITS[:2]}
        if hasattr(data, "changeable_on_resume")
        else {}
    )
    files = torch.empty(0, 3, dtype=torch.int64) if data is None else fingerprint(data)
    return {"settings": settings_of(trainer, data), "samples": sized, "files": files}


def check_settings(then: dict[str, object], now: dict[str, object]) -> None:
    """Check that no setting differs from that of the run that is resumed.

    Raises:
        ValueError: names each that does, and its value in that run.
    """
    if then.get("data") != now.get("data"):  # of which all else follows
        then = {"data": then.get("data")}
    other = [f"{name}={value}" for name, value in then.items() if now.get(name) != value]
    if other:
        raise ValueError(
            f"The run to resume was begun with {', '.join(other)}: a resumed run keeps its "
            "settings. Leave them as they were, or begin a new run without resume="
        )


def check_same_run(then: dict, trainer: Trainer | None) -> None:
    """Check that training goes on with the settings and the data of a checkpoint's `record`.

    Does nothing outside of training: a checkpoint may be measured on other data.

    Raises:
        ValueError: a setting, the number of samples or a file differs.
    """
    if trainer is None or trainer.state.fn != TrainerFn.FITTING:
        return
    now = record(trainer)
    check_settings(then["settings"], now["settings"])
    files = [{name: row for name, *row in table["files"].tolist()} for table in (then, now)]
    if files[0] != files[1] or then["samples"] != now["samples"]:
        raise ValueError(
            f"The data are not those of the run to resume: {changes(*files)}; there were "
            f"{sizes(then['samples'])}, there are {sizes(now['samples'])}. Bring back the data as "
            "they were (data.root=FOLDER says where they are), or begin a new run without resume="
        )


def changes(then: dict[int, list], now: dict[int, list]) -> str:
    """Return '2 files were added, 1 was removed, ...' of {hash of a name: [bytes, split]}."""
    both = then.keys() & now.keys()
    size = sum(then[name][0] != now[name][0] for name in both)
    split = sum(then[name][1] != now[name][1] for name in both)
    return (
        f"{len(now.keys() - then.keys())} file(s) added, {len(then.keys() - now.keys())} removed, "
        f"{size} changed, {split} moved to another split"
    )


def sizes(samples: dict[str, int]) -> str:
    """Return '90 train and 10 val samples'."""
    return f"{' and '.join(f'{count} {split}' for split, count in samples.items())} samples"


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
        most = getattr(trainer, limit) or -1
        if 0 <= most < seen or (most == seen and finished(checkpoint, content["batches"])):
            raise UserError(
                f"{checkpoint} has seen {content['batches']} batches already: to go on, raise "
                f"trainer.{limit}, now {most}."
            )
    timer, seconds = timer_of(trainer), content["run"]["seconds"]
    over = timer is not None and timer.time_remaining() <= seconds
    if over and finished(checkpoint, content["batches"]):
        raise UserError(
            f"{checkpoint} was trained for {seconds:.0f} s already: to go on, raise "
            f"trainer.max_time, now {duration(timer.time_remaining())}."
        )
    return content["batches"]


def timer_of(trainer: Trainer) -> Timer | None:
    """Return the callback that ends a run by trainer.max_time; None without that limit."""
    return next((c for c in trainer.callbacks if isinstance(c, Timer)), None)


def duration(seconds: float) -> str:
    """Return a time as trainer.max_time takes it: DAYS:HOURS:MINUTES:SECONDS."""
    minutes, seconds = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours // 24:02}:{hours % 24:02}:{minutes:02}:{seconds:02}"


def finished(checkpoint, batches):
    """Whether the run of a checkpoint ended with that many batches, final measurements included."""
    try:
        summary = json.loads((checkpoint.parent.parent / "summary.json").read_text())
        return (summary["status"], summary["batches"]) == ("finished", batches)
    except (OSError, ValueError, KeyError):
        return False


def finish_even_without_batches(trainer):
    """Lets a resumed run that was killed after its last batch measure, draw and save.

    Lightning's loop would return at once, without a call of `on_train_end`.
    """
    loop = trainer.fit_loop
    loop.__class__ = type("FinishingLoop", (type(loop),), {"skip": False})
