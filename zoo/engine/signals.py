"""Signals: all processes of a run save and stop at the end of the same batch."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from lightning_fabric.plugins.environments import SLURMEnvironment
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import distributed


class Stopped(SystemExit):
    """A signal has stopped the run. The exit status is 128 + its number, as in a shell.

    Args:
        number: Number of the signal.
        agreed: Whether all processes of the run stop at the end of the same batch.
    """

    def __init__(self, number: int, agreed: bool = False):
        super().__init__(128 + number)
        self.signal = signal.Signals(number)
        self.agreed = agreed


def stop_signals() -> list[signal.Signals]:
    """Return the signals that stop a run: also SIGUSR1, unless Lightning requeues jobs on it."""
    names = ["SIGINT", "SIGTERM"] + ["SIGUSR1"] * (not SLURMEnvironment.detect())
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Raise Stopped as soon as a signal arrives in the block, where there is nothing to save."""
    before = _install(_stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_signals_to_the_main_process(worker: int) -> None:
    """Ignore signals in a data worker, so that the main process can finish its last batch.

    The main process ends its workers. A second SIGTERM ends a worker as well.

    Args:
        worker: Number of the worker.
    """
    for number in stop_signals():
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.signal(number, signal.SIG_DFL))


class Signals:
    """Records the signals that arrive during training, so that all processes stop together.

    Lightning's own handler of SIGTERM broadcasts as soon as the signal arrives, while other
    processes are in another collective call: two processes hang. Here an all-reduce of four bytes
    (gloo, on the CPU) runs beside each batch and exchanges the signal's number. It replaces
    Lightning's broadcast before each batch, which waits for the device.

    Before the first batch and after the last one, a signal stops its process at once. So does a
    second Ctrl-C.
    """

    def __init__(self) -> None:
        self.training = False
        self.received = 0  # number of the first signal of this process
        self.interrupts = 0
        self.group: Any = None
        self.flag: Any = None  # the largest number received by any process before this batch
        self.work: Any = None

    def attach(self, trainer: Any) -> None:
        """Replace Lightning's handlers during `fit`. Every process must call this, in `setup`."""
        self.training, self.received, self.interrupts = False, 0, 0
        if trainer.world_size > 1:
            self.group = distributed.new_group(backend="gloo")
        connector = trainer._signal_connector
        register = connector.register_signal_handlers

        def register_ours() -> None:
            register()  # stores the previous handlers, which Lightning restores when `fit` ends
            _install(self.handle)

        connector.register_signal_handlers = register_ours
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal.

        Args:
            number: Number of the signal.
            frame: The interrupted stack frame.

        Raises:
            Stopped: No batch is running, or this is the second Ctrl-C.
        """
        self.interrupts += number == signal.SIGINT
        if not self.training or self.interrupts > 1:
            raise Stopped(number)
        self.received = self.received or number

    def begin_batch(self) -> None:
        """Start to exchange the received signals, without waiting for the other processes."""
        self.training = True
        if self.group is not None:
            self.flag = torch.tensor([self.received], dtype=torch.int32)
            self.work = distributed.all_reduce(
                self.flag, distributed.ReduceOp.MAX, group=self.group, async_op=True
            )

    def agreed(self) -> int:
        """Return the signal on which all processes stop after this batch; 0 without one."""
        if self.group is None:
            return self.received
        if self.work is not None:
            self.work.wait()
            self.work = None
        return int(self.flag)

    def end(self) -> None:
        """Act on signals of the last batch, and let later ones stop their process at once.

        Raises:
            Stopped: A process received a signal during the last batch.
        """
        self.begin_batch()
        number = self.agreed()
        self.training = False
        if number:
            raise Stopped(number, agreed=True)


class StopOnSignal(Callback):
    """Stops a run without checkpoints on a signal. callbacks/checkpoint.py also saves."""

    def __init__(self):
        self.signals = Signals()

    def setup(self, trainer: Trainer, model: LightningModule, stage: str) -> None:
        self.signals.attach(trainer)

    def on_train_batch_start(
        self, trainer: Trainer, model: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.signals.begin_batch()

    def on_train_batch_end(
        self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if number := self.signals.agreed():
            raise Stopped(number, agreed=True)

    def on_train_epoch_end(self, trainer: Trainer, model: LightningModule) -> None:
        if trainer.fit_loop.done:
            self.signals.end()


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


def _install(handler: Callable[[int, FrameType | None], None]) -> dict[signal.Signals, Any]:
    """Install a handler of the stop signals, and return {signal: previous handler}.

    Does nothing outside the main thread, where Python allows no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in stop_signals()}
