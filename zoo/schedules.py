"""Schedules of learning rates; `GenerativeModule.turn` steps them with their player."""

from torch.optim.lr_scheduler import LambdaLR


def linear_decay(optimizers, *steps):
    """What `configure_optimizers` returns for rates that fall linearly to 0.

    steps: for each optimizer, the number of its steps within which its rate falls; where all are
    0, there is no schedule.
    """
    if not any(steps):
        return optimizers

    def decaying(optimizer, last):
        return LambdaLR(optimizer, lambda step: max(0.0, 1 - step / max(last, 1)))

    return optimizers, [decaying(o, last) for o, last in zip(optimizers, steps, strict=True)]
