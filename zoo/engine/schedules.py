"""Learning rate schedules, which `GenerativeModule.turn` steps together with their player."""

from collections.abc import Iterable, Sequence
from typing import Any

from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau


def linear_decay(optimizers: Sequence[Optimizer], *steps: int, slope: float = 1) -> Any:
    """Let learning rates fall linearly to 0: lr * min(1, slope * (1 - step / steps)).

    Args:
        optimizers: One for each player.
        steps: For each optimizer, the number of its steps after which its rate is 0. If all are 0,
            the rates are constant.
        slope: With slope n, a rate is constant until the last 1 / n of its steps.

    Returns:
        What `configure_optimizers` returns: (optimizers, schedules), or only the optimizers if the
        rates are constant.
    """
    if not any(steps):
        return optimizers

    def decay(optimizer: Optimizer, last: int) -> LambdaLR:
        def factor(step: int) -> float:
            return max(0.0, min(1.0, slope * (1 - step / max(last, 1))))

        return LambdaLR(optimizer, factor)

    return optimizers, [decay(o, last) for o, last in zip(optimizers, steps, strict=True)]


def refuse_plateau(schedules: Iterable[Any]) -> None:
    """Refuse schedules that are stepped with a metric.

    Raises:
        MisconfigurationException: One is a ReduceLROnPlateau.
    """
    if any(isinstance(schedule, ReduceLROnPlateau) for schedule in schedules):
        raise MisconfigurationException(
            "ReduceLROnPlateau cannot be used: schedules are stepped with their player, without a "
            "metric."
        )
