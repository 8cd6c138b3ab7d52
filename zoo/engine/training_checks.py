"""Checks that a model can be trained, in its constructor, at the start of a run and later."""

import inspect
from collections.abc import Iterable
from typing import Any

from zoo.config.errors import UserError, unknown
from zoo.config.hyperparameters import check_hyperparameters
from zoo.engine.gradient_sync import refuse_plain_ddp
from zoo.engine.plain_values import make_plain_, refuse_objects
from zoo.engine.schedules import refuse_plateau

WAY_OUT = "See 'The training step' in docs/subclass.md."


def refuse_unknown(cls: type, names: Iterable[str]) -> None:
    """Refuse arguments of a constructor that neither it nor those of its base classes have.

    Args:
        cls: The class of the model.
        names: The names that no constructor takes.

    Raises:
        TypeError: There is one.
    """
    if name := next(iter(names), None):
        constructors = [vars(base)["__init__"] for base in cls.__mro__ if "__init__" in vars(base)]
        parameters = [p for c in constructors for p in inspect.signature(c).parameters.values()]
        named = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        allowed = [name for name in dict.fromkeys(named) if name not in ("self", *names)]
        raise TypeError(
            f"{unknown(f'{cls.__name__} parameter ', name, allowed)} If a checkpoint names it, the "
            "checkpoint is of another class: zoo.load(path) finds the class."
        )


def check_settings(model: Any) -> None:
    """Make the hyperparameters of a model plain, and check their types and ranges."""
    make_plain_(model.hparams)
    check_hyperparameters(model, "model")


def check_start(model: Any, base: type) -> None:
    """Check a model, its data and its optimizers before the first batch.

    Args:
        model: The model.
        base: GenerativeModule.

    Raises:
        UserError: The model does not define `sample`.
        ValueError: A hyperparameter is an object, or a schedule needs a metric.
        MisconfigurationException: The strategy does not fit.
    """
    if type(model).sample is base.sample:  # type: ignore[attr-defined]
        raise UserError(
            f"{type(model).__name__} must define sample(count, condition=None), which returns "
            "`count` samples: metrics, figures and zoo.sample call it. See docs/subclass.md."
        )
    trainer = model.trainer
    refuse_plain_ddp(trainer.strategy)
    for where, module in (("model", model), ("data", trainer.datamodule)):
        refuse_objects(getattr(module, "hparams", {}), where)
    refuse_plateau(config.scheduler for config in trainer.lr_scheduler_configs)


def refuse_returned_loss(model: Any, outputs: Any) -> None:
    """Refuse a training step that leaves the optimizer step to Lightning, which takes none.

    Args:
        model: The model.
        outputs: What `training_step` returned, as Lightning passes it to `on_train_batch_end`.

    Raises:
        UserError: It returned a loss.
    """
    if outputs:
        raise UserError(
            f"{type(model).__name__}.training_step returned a loss, which is not minimized: models "
            "of the zoo use manual optimization. Write `with self.turn(optimizer): "
            f"self.manual_backward(loss)` and return nothing. {WAY_OUT}"
        )


def check_trained(model: Any) -> None:
    """Check that a run has updated a player. A resumed run may end between two updates.

    Raises:
        UserError: It has trained batches, but no player had a turn.
    """
    if model.batch_checked and not model.had_turn and not model.trainer.ckpt_path:
        raise UserError(
            f"{type(model).__name__}.training_step has updated no network in "
            f"{model.trainer.global_step} batches: write `with self.turn(optimizer): "
            f"self.manual_backward(loss)`. {WAY_OUT}"
        )
