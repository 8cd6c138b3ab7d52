"""Write and print the summary of a run."""

import shlex
import sys
import time
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, Trainer
from rich.console import Console

from callbacks.checkpoint import Checkpoint
from callbacks.metrics import measures_itself
from zoo import strict_json
from zoo.atomic_files import write_text
from zoo.base import GenerativeModule
from zoo.config.catalog import dotted_path, names, target
from zoo.config.signature import as_typed
from zoo.config.trust import packages_to_trust
from zoo.engine.signals import Stopped
from zoo.runs.limits import duration, timer_of


class Summary(Callback):
    """Write summary.json at the end of a run, even if it is stopped early, and print the results.

    `reached` is the number of batches trained. `batches` is the number of batches at which
    checkpoints/last.ckpt was saved, or 0 without a checkpoint. Metrics measured after that
    checkpoint are left out. Without callbacks.checkpoint, `batches` equals `reached`.
    """

    def __init__(self):
        self.first: int | None = None  # number of batches before this run, if it is resumed
        self.started = time.monotonic()

    def on_train_start(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.first = trainer.global_step
        self.started = time.monotonic()

    def on_fit_end(self, trainer: Trainer, model: GenerativeModule) -> None:
        self.write(trainer, model, "finished")

    def on_exception(
        self, trainer: Trainer, model: GenerativeModule, exception: BaseException
    ) -> None:
        if self.first is None or trainer.global_step == self.first:
            return  # nothing was trained
        if isinstance(exception, Stopped):
            reason = f"stopped by {exception.signal.name}"
        else:
            reason = f"stopped by {type(exception).__name__}: {exception}".rstrip(": ")
        try:
            self.write(trainer, model, reason)
        except OSError as error:  # must not hide the exception
            print(f"summary.json could not be written: {error}", file=sys.stderr)

    def write(self, trainer: Trainer, model: GenerativeModule, status: str) -> None:
        """Write summary.json and print the report.

        Args:
            trainer: The trainer.
            model: The model.
            status: "finished", or why the run stopped.
        """
        if not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir)
        summary = self.summary(trainer, model) | {"status": status}
        write_text(folder / "summary.json", strict_json.dumps(summary))
        longer = ""  # the setting that ended the run, doubled
        timer = timer_of(trainer)
        if trainer.global_step == trainer.max_steps:
            longer = f" trainer.max_steps={2 * trainer.max_steps}"
        elif trainer.current_epoch == trainer.max_epochs:
            longer = f" trainer.max_epochs={2 * trainer.max_epochs}"
        elif timer and (timer.time_remaining() or 0) <= 0:
            longer = f" trainer.max_time={duration(2 * timer.time_elapsed())}"
        losses = {name: loss.item() for name, loss in model.last_losses.items()}
        commands = commands_of(summary, trainer, model, longer)
        print_report(summary, folder, commands, losses)

    def summary(self, trainer: Trainer, model: GenerativeModule) -> dict[str, Any]:
        """Return the content of summary.json."""
        saved = [c.batch for c in trainer.callbacks if isinstance(c, Checkpoint)]
        held = min([trainer.global_step, *saved])
        results = {
            name: {
                batch: value
                for batch, value in values.items()
                # A test metric is of the final model, not of an earlier checkpoint.
                if batch == held or (batch < held and not name.startswith("test/"))
            }
            for name, values in model.results.items()
        }
        checkpoints = Path(trainer.default_root_dir, "checkpoints")
        return {
            "model": type(model).__module__.rpartition(".")[2],
            "data": getattr(trainer.datamodule, "name", "own data"),
            "class_names": list(getattr(trainer.datamodule, "class_names", ())),
            "seed": model.seed,
            "batches": held,
            "reached": trainer.global_step,
            "seconds": round(time.monotonic() - self.started, 2),
            "device": str(model.device),
            "processes": trainer.world_size,
            "metrics": {
                name: summarize_values(values) for name, values in results.items() if values
            },
            "checkpoints": [str(file) for file in sorted(checkpoints.glob("*.ckpt"))],
        }


def summarize_values(values: dict[int, float]) -> dict[str, float]:
    """Return the first, last, lowest and highest of {batch: value}, the latter two with batches."""
    low, high = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
    first, *_, last = [*values.values()] * 2
    return {
        "first": first,
        "last": last,
        "lowest": values[low],
        "lowest_batch": low,
        "highest": values[high],
        "highest_batch": high,
    }


def trust_setting(trainer: Trainer, model: GenerativeModule) -> str:
    """Return " trust=PACKAGE" if commands need it to load a checkpoint of the run, else ""."""
    data: Any = trainer.datamodule
    classes = [("model", dotted_path(model)), ("data", dotted_path(data))]
    if source := getattr(data, "hparams", {}).get("of"):  # the data that a data module wraps
        classes.append(("data", target("data", source)))
    packages = packages_to_trust(classes)
    several = f"[{','.join(packages)}]"
    return f" trust={several if packages[1:] else packages[0]}" if packages else ""


def extractor_setting(trainer: Trainer, model: GenerativeModule) -> str:
    """Return the setting with which `zoo.evaluate` measures a run; "" if its defaults do.

    Checkpoints record no extractor. Data without one need it, unless the model measures itself.
    """
    data: Any = trainer.datamodule
    chosen = getattr(data, "extractor", None)
    if chosen is None and not measures_itself(model):
        chosen = "pixels"  # the only one without weights, for images of any size and color
    if chosen is None or chosen == getattr(type(data), "extractor", None):
        return ""
    choice = {"_target_": chosen} if isinstance(chosen, str) else chosen
    if not isinstance(choice, dict):
        return ""  # a module, which no setting names
    settings = {f"extractor.{k}": v for k, v in choice.items() if k != "_target_"}
    path = choice["_target_"]
    name = path.split(".")[-2] if "." in path else path
    known = name in names("extractor") and target("extractor", name) == path
    settings = {"extractor": name if known or "." not in path else path} | settings
    return "".join(f" {shlex.quote(f'{k}={as_typed(v)}')}" for k, v in settings.items())


def commands_of(
    summary: dict[str, Any], trainer: Trainer, model: GenerativeModule, longer: str
) -> list[str]:
    """Return the commands that sample, measure and continue a run; [] without checkpoints.

    Args:
        summary: The content of summary.json.
        trainer: The trainer.
        model: The model.
        longer: Setting that continues the run for twice as long; "" for none.
    """
    if not summary["checkpoints"]:
        return []
    place, trust = shlex.quote(str(trainer.default_root_dir)), trust_setting(trainer, model)
    return [
        f"python -m zoo.sample checkpoint={place}{trust}",
        f"python -m zoo.evaluate checkpoint={place}{extractor_setting(trainer, model)}{trust}",
        f"python -m zoo.fit resume={place}{longer}{trust}",
    ]


def print_report(
    summary: dict[str, Any], folder: Path, commands: list[str], losses: dict[str, float]
) -> None:
    """Print the metrics, where files are, and commands to continue.

    Args:
        summary: The content of summary.json.
        folder: The run's folder.
        commands: See `commands_of`.
        losses: {name: loss} computed last.
    """
    print = Console(highlight=False, markup=False, soft_wrap=True).print
    print(
        f"\n{summary['model']} on {summary['data']}: {summary['status']} after "
        f"{summary['reached']} batches in {summary['seconds']:.0f} s on {summary['device']}"
    )
    if summary["batches"] < summary["reached"]:
        print(f"  the last checkpoint is of batch {summary['batches']}")
    for name, value in losses.items():
        print(f"  {'train/' + name:<20} {value:.4g} (last)")
    for name, values in summary["metrics"].items():
        course = f"{values['first']:.4g}"
        if values["last"] != values["first"]:
            course += f" -> {values['last']:.4g} (lowest {values['lowest']:.4g} at batch "
            course += f"{values['lowest_batch']}, highest {values['highest']:.4g} at batch "
            course += f"{values['highest_batch']})"
        print(f"  {name:<20} {course}")
    figures = sorted((folder / "samples").glob(f"{summary['batches']:07d}*.png"))
    places = {"samples": figures, "checkpoints": summary["checkpoints"], "folder": [folder]}
    for name, files in places.items():
        if files:
            print(f"  {name:<20} {' '.join(str(file) for file in files)}")
    if commands:
        print("\n" + "\n".join(commands))
