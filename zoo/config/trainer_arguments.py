"""Which arguments of Lightning's Trainer a run takes, and what to write instead of the others.

Those that are not named here are Lightning's, and mean what they mean there.
"""

import re
from datetime import timedelta

from zoo.config.errors import UserError

DEFAULT_MAX_STEPS = 10000  # batches of a run that has no limit of its own
LIMITS = ("max_steps", "max_epochs", "max_time")

# name: (values that are allowed, what to do instead; {value} is that which was given)
REFUSED = {
    "accumulate_grad_batches": ((None, 1), "acts on one optimizer; use model.accumulate={value}"),
    "gradient_clip_val": ((None, 0), "acts on one optimizer; use model.gradient_clip={value}"),
    "gradient_clip_algorithm": ((None,), "is fixed: model.gradient_clip=VALUE clips by the norm"),
    "callbacks": ((), "is the zoo's: use callbacks=NAME"),
    "logger": ((), "is the zoo's: use logger=NAME"),
    "default_root_dir": ((None,), "is the zoo's: use folder={value}"),
    "enable_checkpointing": ((None,), "is the zoo's: ~callbacks.checkpoint leaves checkpoints out"),
    "enable_progress_bar": ((None,), "is the zoo's: ~callbacks.progress leaves the bar out"),
    "enable_autolog_hparams": ((False,), "is the zoo's: loggers get all settings already"),
    "barebones": ((False,), "cannot be used: a run always has its log; see benchmarks/train.py"),
    "plugins": ((None,), "takes objects, which settings cannot hold: make a Trainer of your own"),
    "model_registry": ((None,), "needs a service that the zoo does not use: see zoo.export"),
    "limit_test_batches": ((None,), "has no effect: zoo.fit does not test; see zoo.evaluate"),
    "limit_predict_batches": ((None,), "has no effect: zoo.fit does not predict; see zoo.sample"),
    "inference_mode": ((True,), "has no effect in training; see zoo.evaluate"),
}

# What acts on the validation loop alone, and the values that ask for nothing.
OF_VALIDATION = {
    "limit_val_batches": (None, 0, 1.0),
    "num_sanity_val_steps": (None, 0),
    "val_check_interval": (None,),
    "check_val_every_n_epoch": (1,),
}


def check_arguments(values: dict[str, object]) -> dict[str, object]:
    """Check arguments of the Trainer, and give a run without a limit the default one.

    Args:
        values: the arguments that were given, of the right types.

    Returns:
        The arguments to use, `max_steps` among them.

    Raises:
        UserError: an argument that a run does not take, or that Lightning would trip over.
    """
    for name, (allowed, instead) in REFUSED.items():
        if name in values and values[name] not in allowed:
            raise UserError(f"trainer.{name} {instead.format(value=values[name])}.")
    _check_max_time(values.get("max_time"))
    cadence = values.get("log_every_n_steps")
    if cadence is not None and cadence < 0:
        raise UserError(f"trainer.log_every_n_steps={cadence} must be at least 0, which is never.")
    if values.get("max_steps") is not None:
        return values
    unlimited = all(values.get(name) in (None, -1) for name in LIMITS)
    return values | {"max_steps": DEFAULT_MAX_STEPS if unlimited else -1}


def _check_max_time(value):
    if value is None:
        return
    try:
        if isinstance(value, dict):
            valid = timedelta(**value) >= timedelta()
        else:
            valid = re.fullmatch(r"\d+:\d\d:\d\d:\d\d", value)
    except (TypeError, OverflowError):  # a number, or names that timedelta does not have
        valid = False
    if not valid:
        raise UserError(
            f"trainer.max_time={value} must be DAYS:HOURS:MINUTES:SECONDS, such as "
            "trainer.max_time=00:00:20:00 for 20 minutes."
        )


def check_for_model(values: dict[str, object], model: object, data: object) -> None:
    """Check the arguments that have an effect with some models and data only.

    Raises:
        UserError: an argument that would have none.
    """
    from pytorch_lightning.utilities.model_helpers import is_overridden

    for name, allowed in OF_VALIDATION.items():
        given = name in values and values[name] not in allowed
        if given and not is_overridden("validation_step", model):
            raise UserError(
                f"trainer.{name} has no effect: {type(model).__name__} has no validation_step. "
                "See callbacks.metrics.every and callbacks.metrics.count for what is measured."
            )
    if values.get("use_distributed_sampler") is False and hasattr(data, "training_loader"):
        raise UserError(
            "trainer.use_distributed_sampler=False has no effect: loaders of the zoo share their "
            "samples among the processes themselves."
        )
