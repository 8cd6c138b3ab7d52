"""Schedules of learning rates; `GenerativeModule.turn` steps them with their player."""

from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau


def linear_decay(optimizers, *steps, lastly=1):
    """What `configure_optimizers` returns for rates that fall linearly to 0.

    steps: for each optimizer, the number of its steps after which its rate is 0; where all are 0,
    there is no schedule. lastly: a rate stands until the last 1 / lastly of its steps.
    """
    if not any(steps):
        return optimizers

    def decaying(optimizer, last):
        def factor(step):
            return max(0.0, min(1.0, lastly * (1 - step / max(last, 1))))

        return LambdaLR(optimizer, factor)

    return optimizers, [decaying(o, last) for o, last in zip(optimizers, steps, strict=True)]


def refuse_plateau(schedules):
    """Raises MisconfigurationException for a schedule that is stepped with a metric."""
    if any(isinstance(schedule, ReduceLROnPlateau) for schedule in schedules):
        raise MisconfigurationException(
            "A schedule is stepped with its player, without a metric: ReduceLROnPlateau cannot be "
            "used."
        )
