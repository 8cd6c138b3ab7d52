"""Which arguments of Lightning's Trainer a run accepts, and what to use instead of the others.

Arguments that are not listed here are passed to Lightning.
"""

import re
from datetime import timedelta
from typing import Any

from zoo.config.errors import UserError

DEFAULT_MAX_STEPS = 10000  # batches of a run without a limit
LIMITS = ("max_steps", "max_epochs", "max_time")

# name: (allowed values, what to use instead; {value} is the refused value)
REFUSED: dict[str, tuple[tuple[object, ...], str]] = {
    "accumulate_grad_batches": ((None, 1), "acts on one optimizer; use model.accumulate={value}"),
    "gradient_clip_val": ((None, 0), "acts on one optimizer; use model.gradient_clip={value}"),
    "gradient_clip_algorithm": (
        (None,),
        "cannot be set: model.gradient_clip=VALUE clips by the norm",
    ),
    "callbacks": ((), "is set by the zoo: use callbacks=NAME"),
    "logger": ((), "is set by the zoo: use logger=NAME"),
    "default_root_dir": ((None,), "is set by the zoo: use folder={value}"),
    "enable_checkpointing": ((None,), "is set by the zoo: ~callbacks.checkpoint removes it"),
    "enable_progress_bar": ((None,), "is set by the zoo: ~callbacks.progress removes it"),
    "enable_autolog_hparams": ((False,), "is set by the zoo: loggers get all settings already"),
    "barebones": ((False,), "cannot be used: a run always has its log; see benchmarks/train.py"),
    "plugins": ((None,), "takes objects, which settings cannot hold: make a Trainer of your own"),
    "model_registry": ((None,), "needs a service that the zoo does not use: see zoo.export"),
    "limit_test_batches": ((None,), "has no effect: zoo.fit does not test; see zoo.evaluate"),
    "limit_predict_batches": ((None,), "has no effect: zoo.fit does not predict; see zoo.sample"),
    "inference_mode": ((True,), "has no effect in training; see zoo.evaluate"),
}

# Arguments of the validation loop, and the values that have no effect.
OF_VALIDATION: dict[str, tuple[object, ...]] = {
    "limit_val_batches": (None, 0, 1.0),
    "num_sanity_val_steps": (None, 0),
    "val_check_interval": (None,),
    "check_val_every_n_epoch": (1,),
}


def check_arguments(values: dict[str, Any]) -> dict[str, Any]:
    """Check arguments of the Trainer, and set the default limit if there is none.

    Args:
        values: The arguments, of the right types.

    Returns:
        The arguments to use, with `max_steps`.

    Raises:
        UserError: An argument is refused, or its value would fail in Lightning.
    """
    for name, (allowed, instead) in REFUSED.items():
        if name in values and values[name] not in allowed:
            raise UserError(f"trainer.{name} {instead.format(value=values[name])}.")
    _check_max_time(values.get("max_time"))
    cadence = values.get("log_every_n_steps")
    if cadence is not None and cadence < 0:
        raise UserError(
            f"trainer.log_every_n_steps={cadence} must be at least 0, which means never."
        )
    if values.get("max_steps") is not None:
        return values
    unlimited = all(values.get(name) in (None, -1) for name in LIMITS)
    return values | {"max_steps": DEFAULT_MAX_STEPS if unlimited else -1}


def _check_max_time(value: Any) -> None:
    """Check trainer.max_time, a text or the arguments of timedelta.

    Raises:
        UserError: It is neither.
    """
    if value is None:
        return
    try:
        if isinstance(value, dict):
            valid = timedelta(**value) >= timedelta()
        else:
            valid = re.fullmatch(r"\d+:\d\d:\d\d:\d\d", value) is not None
    except (TypeError, OverflowError):  # a number, or names that timedelta does not have
        valid = False
    if not valid:
        raise UserError(
            f"trainer.max_time={value} must be DAYS:HOURS:MINUTES:SECONDS, such as "
            "trainer.max_time=00:00:20:00 for 20 minutes."
        )


def check_for_model(values: dict[str, Any], model: Any, data: Any) -> None:
    """Check the arguments that have an effect only with some models and data.

    Args:
        values: The arguments.
        model: The model.
        data: The data module.

    Raises:
        UserError: An argument has no effect.
    """
    from pytorch_lightning.utilities.model_helpers import is_overridden

    for name, allowed in OF_VALIDATION.items():
        is_set = name in values and values[name] not in allowed
        if is_set and not is_overridden("validation_step", model):
            raise UserError(
                f"trainer.{name} has no effect: {type(model).__name__} has no validation_step. "
                "See callbacks.metrics.every and callbacks.metrics.count for the metrics."
            )
    if values.get("use_distributed_sampler") is False and hasattr(data, "training_loader"):
        raise UserError(
            "trainer.use_distributed_sampler=False has no effect: loaders of the zoo share their "
            "samples among the processes themselves."
        )
