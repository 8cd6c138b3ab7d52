"""All processes stop after the same batch, whichever of them gets the signal."""

import json
import multiprocessing
import os
import signal
import time

import pytest
import torch

from callbacks.checkpoint import Checkpoint
from tests import kit
from zoo.engine.signals import (
    StopOnSignal,
    Stopped,
    leave_signals_to_the_main_process,
    stop_signals,
    stopping_at_once,
)

WGAN = type(kit.build("wgan"))


class Signalled(WGAN):
    """SIGTERM to one process in the third batch, between two turns."""

    rank = 0

    def clip_critic(self):
        super().clip_critic()
        if self.trainer.global_step == 3 and self.trainer.global_rank == self.rank:
            signal.raise_signal(signal.SIGTERM)


def model_of(cls):
    torch.manual_seed(0)
    return cls(image_size=8, image_channels=1, width=4, critic_steps=2)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_stops_both_after_the_same_batch(rank, tmp_path, monkeypatch):
    monkeypatch.setattr(Signalled, "rank", rank)
    with pytest.raises(Exception, match=r"exit code 143|SIGTERM"):
        kit.fit(model_of(Signalled), tmp_path, 9, callbacks=[Checkpoint()], **kit.forked(2))
    stopped = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    assert stopped["global_step"] in (3, 4), "the others hear of it at the next batch"
    straight = tmp_path / "straight"
    steps = stopped["global_step"]
    kit.fit(model_of(WGAN), straight, steps, callbacks=[Checkpoint()], **kit.forked(2))
    uninterrupted = torch.load(straight / "checkpoints/last.ckpt", weights_only=True)
    kit.assert_same(uninterrupted["state_dict"], stopped["state_dict"])


def test_a_run_without_checkpoints_stops_too(tmp_path):
    with pytest.raises(Stopped) as stop:
        kit.fit(model_of(Signalled), tmp_path, 9, callbacks=[StopOnSignal()])
    assert (stop.value.code, stop.value.agreed) == (143, True)


def test_a_signal_during_the_last_batch_leaves_a_checkpoint_of_it(tmp_path):
    with pytest.raises(Stopped):
        kit.fit(model_of(Signalled), tmp_path, 3, callbacks=[Checkpoint()])
    stopped = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    assert stopped["global_step"] == 3


def test_before_the_first_batch_a_signal_stops_at_once(tmp_path):
    class Early(Checkpoint):
        def on_train_start(self, trainer, model):
            signal.raise_signal(signal.SIGTERM)
            raise AssertionError("reached")

    with pytest.raises(Stopped) as stop:
        kit.fit(model_of(WGAN), tmp_path, 3, callbacks=[Early()])
    assert not stop.value.agreed
    assert not (tmp_path / "checkpoints").exists()


def test_handlers_are_restored(tmp_path):
    before = [signal.getsignal(number) for number in stop_signals()]
    with stopping_at_once(), pytest.raises(Stopped) as stop:
        signal.raise_signal(signal.SIGUSR1)
    assert stop.value.code == 128 + signal.SIGUSR1
    kit.fit(model_of(WGAN), tmp_path, 2, callbacks=[Checkpoint()])
    assert [signal.getsignal(number) for number in stop_signals()] == before


def test_lightning_requeues_slurm_jobs_on_sigusr1(monkeypatch):
    assert signal.SIGUSR1 in stop_signals()
    monkeypatch.setenv("SLURM_NTASKS", "2")
    assert signal.SIGUSR1 not in stop_signals()


# The second process of each is a new one, which imports torch.
@pytest.mark.parametrize(
    ("sent", "to"),
    [(signal.SIGTERM, "one"), pytest.param(signal.SIGINT, "all", marks=pytest.mark.slow)],
)
def test_two_processes_of_the_command_line_save_and_stop(sent, to, tmp_path):
    folder = tmp_path / "run"
    settings = ["model=wgan", "model.width=4", "experiment=none", f"folder={folder}"]
    settings += ["callbacks=[summary,checkpoint]", "callbacks.checkpoint.every=5"]
    settings += ["trainer.devices=2", "trainer.accelerator=cpu", "trainer.max_steps=1000000"]
    with kit.command("fit", *settings, output=tmp_path) as process:
        while not (folder / "checkpoints/last.ckpt").exists():
            assert process.running(), process.stderr
            time.sleep(0.05)
        (process.send_signal_to_all if to == "all" else process.send_signal)(sent)
        assert process.wait() == 128 + sent
        assert "Traceback" not in process.stderr
        with pytest.raises(ProcessLookupError):  # no process is left
            process.send_signal_to_all(signal.SIGKILL)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == f"stopped by {sent.name}"
    state = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    assert state["global_step"] == summary["batches"] == summary["reached"] > 0


def test_a_second_sigterm_ends_a_worker():
    def work(ready):
        leave_signals_to_the_main_process(0)
        ready.set()
        while True:
            time.sleep(0.01)

    context = multiprocessing.get_context("fork")
    ready = context.Event()
    worker = context.Process(target=work, args=(ready,))
    worker.start()
    try:
        assert ready.wait(timeout=30)
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(worker.pid, number)
        worker.join(timeout=0.5)
        assert worker.is_alive()
        worker.terminate()
        worker.join(timeout=30)
        assert worker.exitcode == -signal.SIGTERM
    finally:
        worker.kill()
