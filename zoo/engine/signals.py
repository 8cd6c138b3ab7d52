"""Signals: a run saves and stops at the end of a batch, the same batch on all processes."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric.plugins.environments import SLURMEnvironment
from pytorch_lightning import Callback, Trainer
from torch import distributed


class Stopped(SystemExit):
    """A signal has stopped the run; the exit status is 128 + its number, as in a shell.

    Args:
        number: that of the signal.
        agreed: whether all processes of the run stop, at the end of the same batch.
    """

    def __init__(self, number: int, agreed: bool = False):
        super().__init__(128 + number)
        self.signal = signal.Signals(number)
        self.agreed = agreed


def handled() -> list[signal.Signals]:
    """The signals that stop a run: SIGUSR1 too, unless Lightning requeues a SLURM job on it."""
    names = ["SIGINT", "SIGTERM"] + ["SIGUSR1"] * (not SLURMEnvironment.detect())
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Raise Stopped, in the block, as soon as a signal arrives: there is nothing to save yet."""
    before = _install(_stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_signals_to_the_main_process(worker: int) -> None:
    """For a worker that loads data: a signal to the whole group must not take the last batch away.

    The process that the worker belongs to ends it. A second SIGTERM ends it as well.
    """
    for number in handled():
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.signal(number, signal.SIG_DFL))


class Signals:
    """Notes the signals that arrive during training, for all processes to act on together.

    Lightning's own handler of SIGTERM broadcasts as soon as the signal arrives, while other
    processes are elsewhere: two processes hang. Here the number of the signal goes from process to
    process in an all-reduce of four bytes that runs beside each batch (gloo, on the CPU), and takes
    the place of Lightning's broadcast before each batch, which waits for the device.

    Before the first batch and after the last one a signal stops its process at once. So does a
    second Ctrl-C.
    """

    def __init__(self):
        self.training = False
        self.noted = 0  # the first signal of this process
        self.interrupts = 0
        self.group = None
        self.flag = None  # the largest number noted by any process before this batch
        self.work = None

    def attach(self, trainer: Trainer) -> None:
        """Replace Lightning's handlers during `fit`. Every process calls it, in `setup`."""
        self.training, self.noted, self.interrupts = False, 0, 0
        if trainer.world_size > 1:
            self.group = distributed.new_group(backend="gloo")
        connector = trainer._signal_connector
        register = connector.register_signal_handlers

        def register_ours():
            register()  # remembers the handlers of before, and gives them back when `fit` ends
            _install(self.note)

        connector.register_signal_handlers = register_ours
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None

    def note(self, number, frame):
        """The handler."""
        self.interrupts += number == signal.SIGINT
        if not self.training or self.interrupts > 1:
            raise Stopped(number)
        self.noted = self.noted or number

    def begin_batch(self) -> None:
        """Tell the other processes, without waiting for them, what has been noted."""
        self.training = True
        if self.group is not None:
            self.flag = torch.tensor([self.noted], dtype=torch.int32)
            self.work = distributed.all_reduce(
                self.flag, distributed.ReduceOp.MAX, group=self.group, async_op=True
            )

    def agreed(self) -> int:
        """The signal on which all processes stop after this batch; 0 if there is none."""
        if self.group is None:
            return self.noted
        if self.work is not None:
            self.work.wait()
            self.work = None
        return int(self.flag)

    def end(self) -> None:
        """After the last batch: act on what was noted during it, and at once on what follows."""
        self.begin_batch()
        number = self.agreed()
        self.training = False
        if number:
            raise Stopped(number, agreed=True)


class StopOnSignal(Callback):
    """Stops a run that saves no checkpoints; see callbacks/checkpoint.py for one that does."""

    def __init__(self):
        self.signals = Signals()

    def setup(self, trainer, model, stage):
        self.signals.attach(trainer)

    def on_train_batch_start(self, trainer, model, batch, batch_idx):
        self.signals.begin_batch()

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if number := self.signals.agreed():
            raise Stopped(number, agreed=True)

    def on_train_epoch_end(self, trainer, model):
        if trainer.fit_loop.done:
            self.signals.end()


def _stop(number, frame):
    raise Stopped(number)


def _install(handler):
    """Handles the signals by `handler`; returns {signal: handler of before}.

    Nothing happens off the main thread, where Python allows no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in handled()}
