"""Resuming runs: what checkpoints keep of their run, and what a resumed run must not change.

A resumed run may change the trainer's limits, callbacks, loggers, the device, the number of devices
with the same global batch, and the data's settings in `changeable_on_resume` (workers, folders).
With any other change it would differ from a run without interruption, and it is refused.
"""

from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from zoo.config.catalog import dotted_path
from zoo.config.errors import UserError
from zoo.engine.seeds import key
from zoo.runs.limits import check_limits
from zoo.runs.loaded_checkpoint import read_lightning

SPLITS = ("train", "val", "test")
_fingerprints: WeakKeyDictionary[LightningDataModule, Tensor] = WeakKeyDictionary()


def settings_of(trainer: Trainer, data: Any) -> dict[str, object]:
    """Return {name: value} of the settings of trainer and data that a resumed run must keep.

    For a data module that is not of the zoo, this is its class only.
    """
    # As text, because a limit of 1 is one batch and a limit of 1.0 is all of them.
    names = ("precision", "limit_train_batches", "overfit_batches")
    settings: dict[str, object] = {f"trainer.{name}": str(getattr(trainer, name)) for name in names}
    # Lightning has no public attribute for it.
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


def fingerprint(data: Any) -> Tensor:
    """Return the name, size and split of each file of the user's, to detect changed data.

    Computed once for each data module.

    Returns:
        (F, 3) int64: hash of the path below `root`, size in bytes and index of the split. F is 0
        for data that are not read from a folder of the user's.
    """
    if data not in _fingerprints:
        rows = {}
        for index, split in enumerate(SPLITS if hasattr(data, "source_files") else ()):
            for name, file in data.source_files(split).items():
                rows[key("file", name)] = (file.stat().st_size, index)
        table = [(name, *row) for name, row in sorted(rows.items())]
        _fingerprints[data] = torch.tensor(table, dtype=torch.int64).reshape(-1, 3)
    return _fingerprints[data]


def origin(model: Any) -> dict[str, Any]:
    """Return what a checkpoint stores to rebuild the model and its data, and to resume the run."""
    data = model.trainer.datamodule
    return {
        "class": dotted_path(model),
        "data": data and {"_target_": dotted_path(data), **data.hparams},
        "class_names": list(getattr(data, "class_names", ())),
        "run": record(model.trainer),
        "seed": model.seed,
        "results": model.results,
        "init": model.init,
    }


def record(trainer: Any) -> dict[str, Any]:
    """Return what a checkpoint stores of its run: settings, sizes of the splits and files."""
    data = trainer.datamodule
    sized = (
        {s: len(data.source(s)) for s in SPLITS[:2]}
        if hasattr(data, "changeable_on_resume")
        else {}
    )
    files = torch.empty(0, 3, dtype=torch.int64) if data is None else fingerprint(data)
    return {"settings": settings_of(trainer, data), "samples": sized, "files": files}


def check_settings(then: dict[str, object], now: dict[str, object]) -> None:
    """Check that the settings are those of the run that is resumed.

    Args:
        then: {name: value} of the run to resume.
        now: {name: value} of this run.

    Raises:
        ValueError: Some differ. The message names each, and its value in the run to resume.
    """
    if then.get("data") != now.get("data"):  # other differences follow from it
        then = {"data": then.get("data")}
    other = [f"{name}={value}" for name, value in then.items() if now.get(name) != value]
    if other:
        raise ValueError(
            f"The run to resume was started with {', '.join(other)}: a resumed run keeps its "
            "settings. Set them to these values, or start a new run without resume="
        )


def check_same_run(then: dict[str, Any], trainer: Trainer | None) -> None:
    """Check that training resumes with the settings and the data of a checkpoint.

    Does nothing outside of training: a checkpoint may be evaluated on other data.

    Args:
        then: The `record` in the checkpoint.
        trainer: The Trainer of this run, if any.

    Raises:
        ValueError: A setting, the number of samples or a file differs.
    """
    if trainer is None or trainer.state.fn != TrainerFn.FITTING:
        return
    now = record(trainer)
    check_settings(then["settings"], now["settings"])
    files = [{name: row for name, *row in table["files"].tolist()} for table in (then, now)]
    if files[0] != files[1] or then["samples"] != now["samples"]:
        raise ValueError(
            f"The data are not those of the run to resume: {changes(*files)}; there were "
            f"{sizes(then['samples'])}, there are {sizes(now['samples'])}. Restore the data "
            "(data.root=FOLDER says where they are), or start a new run without resume="
        )


def changes(then: dict[int, list], now: dict[int, list]) -> str:
    """Return '2 file(s) added, 1 removed, ...'.

    Args:
        then: {hash of a file's name: [size, split]} of the run to resume.
        now: The same of this run.
    """
    both = then.keys() & now.keys()
    size = sum(then[name][0] != now[name][0] for name in both)
    split = sum(then[name][1] != now[name][1] for name in both)
    return (
        f"{len(now.keys() - then.keys())} file(s) added, {len(then.keys() - now.keys())} removed, "
        f"{size} changed, {split} moved to another split"
    )


def sizes(samples: dict[str, int]) -> str:
    """Return '90 train and 10 val samples' of {"train": 90, "val": 10}."""
    return f"{' and '.join(f'{count} {split}' for split, count in samples.items())} samples"


def last_checkpoint(resume: str | None) -> Path | None:
    """Return the checkpoint to resume from.

    Args:
        resume: A checkpoint file, or a run's folder (its last checkpoint); None for a new run.

    Raises:
        UserError: There is no such checkpoint.
    """
    if resume is None:
        return None
    path = Path(resume)
    path = path / "checkpoints" / "last.ckpt" if path.is_dir() else path
    if not path.exists():
        raise UserError(f"resume={resume}: there is no checkpoint {path}.")
    return path


def check_resume(
    checkpoint: Path,
    model: LightningModule,
    data: LightningDataModule | None,
    trainer: Trainer,
    seed: int,
) -> int:
    """Check that a run can resume from a checkpoint.

    Args:
        checkpoint: The file.
        model: The model of this run.
        data: The data of this run.
        trainer: The Trainer of this run.
        seed: The seed of this run.

    Returns:
        The number of batches that the checkpoint has seen.

    Raises:
        UserError: The checkpoint is of another model, or a limit of training is reached.
        ValueError: A setting differs.
    """
    content = read_lightning(checkpoint)
    if content["class"] != dotted_path(model):
        raise UserError(
            f"{checkpoint} is a checkpoint of {content['class']}, not of {dotted_path(model)}."
        )
    then = {f"model.{name}": value for name, value in content["hyperparameters"].items()}
    now = {f"model.{name}": value for name, value in model.hparams.items()} | {"seed": seed}
    then |= {"seed": content["seed"]} | content["run"]["settings"]
    check_settings(then, now | settings_of(trainer, data))
    check_limits(checkpoint, content, trainer)
    return content["batches"]
