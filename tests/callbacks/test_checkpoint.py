"""A loadable checkpoint at any moment."""

import os
import signal
import sys
import time

import pytest
import torch
from pytorch_lightning import Callback

from callbacks.checkpoint import Checkpoint
from tests import kit
from zoo.config.errors import Diverged


class Measuring(Checkpoint):
    """Measures the given values at the batches 2, 4, 6 ... before it saves."""

    def __init__(self, values, name="fid_toy", **parameters):
        super().__init__(**parameters)
        self.values = iter(values)
        self.name = name

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if trainer.global_step % 2 == 0:
            model.log_results({"fid_toy": -float(trainer.global_step)}, "test")  # never selects
            model.log_results({"real_toy": 0.0, self.name: next(self.values)})
        super().on_train_batch_end(trainer, model, outputs, batch, batch_idx)


def step_of(folder, name):
    file = folder / "checkpoints" / f"{name}.ckpt"
    return torch.load(file, weights_only=True)["global_step"]


def test_last_and_best(tmp_path):
    saving = Measuring([5.0, 3.0, 4.0], every=5)
    kit.fit(kit.build("wgan"), tmp_path, 7, callbacks=[saving])
    assert step_of(tmp_path, "last") == 7
    assert step_of(tmp_path, "best") == 4
    assert sorted(os.listdir(tmp_path / "checkpoints")) == ["best.ckpt", "last.ckpt"]


@pytest.mark.parametrize(
    ("name", "best"), [("kid_toy", 4), ("is_toy", 2), ("precision_k3_toy", 2), ("mine", 4)]
)
def test_of_some_metrics_the_highest_is_the_best(name, best, tmp_path):
    kit.fit(kit.build("wgan"), tmp_path, 6, callbacks=[Measuring([5.0, 3.0, 4.0], name)])
    assert step_of(tmp_path, "best") == best


@pytest.mark.parametrize(
    ("values", "best"),
    [([float("nan"), 3.0, 4.0], 4), ([5.0, float("nan"), 4.0], 6), ([float("-inf"), 3.0, 4.0], 4)],
)
def test_a_value_that_is_not_finite_does_not_count(values, best, tmp_path):
    kit.fit(kit.build("wgan"), tmp_path, 6, callbacks=[Measuring(values)])
    assert step_of(tmp_path, "best") == best


def test_without_a_finite_value_there_is_no_best_checkpoint(tmp_path):
    kit.fit(kit.build("wgan"), tmp_path, 2, callbacks=[Measuring([float("nan")])])
    assert os.listdir(tmp_path / "checkpoints") == ["last.ckpt"]


def test_monitoring_an_unranked_metric_is_refused():
    with pytest.raises(ValueError, match=r"monitor=sharpness_2k has no best value"):
        Checkpoint(monitor="sharpness_2k")


def test_monitoring_a_metric_that_is_not_measured_is_refused(tmp_path):
    saving = Measuring([5.0], monitor="kid")
    with pytest.raises(ValueError, match=r"monitor=kid is not measured: there are fid_toy\."):
        kit.fit(kit.build("wgan"), tmp_path, 6, callbacks=[saving])


def test_best_uses_a_metric_that_is_still_measured(tmp_path):
    kit.fit(kit.build("wgan"), tmp_path, 2, callbacks=[Measuring([1.0])])
    last = tmp_path / "checkpoints/last.ckpt"
    goes_on = Measuring([9.0, 8.0, 7.0], "kid_toy")
    kit.fit(kit.build("wgan"), tmp_path, 6, checkpoint=last, callbacks=[goes_on])
    assert step_of(tmp_path, "best") == 6


def test_an_earlier_best_survives_a_resume(tmp_path):
    kit.fit(kit.build("wgan"), tmp_path, 2, callbacks=[Measuring([1.0])])
    model = kit.build("wgan")
    last = tmp_path / "checkpoints/last.ckpt"
    kit.fit(model, tmp_path, 4, checkpoint=last, callbacks=[Measuring([2.0])])
    assert model.results["val/fid_toy"] == {2: 1.0, 4: 2.0}
    assert step_of(tmp_path, "best") == 2


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    class Breaking(Checkpoint):
        def on_train_batch_start(self, trainer, model, batch, batch_idx):
            if trainer.global_step == 4:
                next(model.parameters()).data[0] = float("nan")

    with pytest.raises(Diverged, match=r"generator.1.weight is not finite at batch 6"):
        kit.fit(kit.build("wgan"), tmp_path, 9, callbacks=[Breaking(every=3)])
    assert step_of(tmp_path, "last") == 3


class Interrupting(type(kit.build("wgan"))):
    """Ctrl-C in the third batch, between the turns."""

    signals = 1

    def clip_critic(self):
        super().clip_critic()
        if self.trainer.global_step == 3:
            for _ in range(self.signals):
                signal.raise_signal(signal.SIGINT)  # to this thread: two never become one


@pytest.fixture
def own_handler():
    """Python's; a shell that starts the tests in the background has interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_waits_for_the_end_of_the_batch_and_resumes_exactly(tmp_path, own_handler):
    def model(cls):
        torch.manual_seed(0)
        return cls(image_size=8, image_channels=1, width=4, critic_steps=3)

    with pytest.raises(SystemExit):
        kit.fit(model(Interrupting), tmp_path, 9, callbacks=[Checkpoint(every=2)])
    assert step_of(tmp_path, "last") == 3
    straight, resumed = model(Interrupting.__base__), model(Interrupting.__base__)
    kit.fit(straight, tmp_path, 6)
    kit.fit(resumed, tmp_path, 6, checkpoint=tmp_path / "checkpoints/last.ckpt")
    kit.assert_same(kit.weights(straight), kit.weights(resumed))


def test_a_second_interrupt_does_not_wait(tmp_path, own_handler):
    model = Interrupting(image_size=8, image_channels=1, width=4)
    model.signals = 2
    with pytest.raises(SystemExit):
        kit.fit(model, tmp_path, 9, callbacks=[Checkpoint(every=2)])
    assert step_of(tmp_path, "last") == 2


def test_the_handler_of_interrupts_is_restored(tmp_path, own_handler):
    kit.fit(kit.build("wgan"), tmp_path, 2, callbacks=[Checkpoint()])
    assert signal.getsignal(signal.SIGINT) is own_handler


def test_an_error_keeps_the_last_checkpoint(tmp_path):
    class Crashing(Checkpoint):
        def on_train_batch_start(self, trainer, model, batch, batch_idx):
            if trainer.global_step == 3:
                raise KeyError

    with pytest.raises(KeyError):
        kit.fit(kit.build("wgan"), tmp_path, 9, callbacks=[Crashing(every=2)])
    assert step_of(tmp_path, "last") == 2


class Filling(Checkpoint):
    """From the third batch on no file may be larger than 20 kB, as on a full disk."""

    def on_train_batch_start(self, trainer, model, batch, batch_idx):
        import resource

        super().on_train_batch_start(trainer, model, batch, batch_idx)
        if trainer.global_step == 3 and trainer.is_global_zero:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_full_disk_leaves_the_checkpoint_before_it(processes, tmp_path):
    def fill():
        ranks = kit.forked(2) if processes == 2 else {}
        with pytest.raises(Exception, match="File too large"):
            kit.fit(kit.build("wgan"), tmp_path, 9, callbacks=[Filling(every=2)], **ranks)

    if processes == 2:
        fill()  # the ranks are processes of their own
    else:  # the limit holds for all files of a process, its output included
        with kit.Child(fill, tmp_path) as process:
            assert process.wait() == 0, process.stderr
    assert step_of(tmp_path, "last") == 2
    assert os.listdir(tmp_path / "checkpoints") == ["last.ckpt"]


class Unpicklable(Exception):
    """An error that cannot be sent to other processes as it is."""

    def __reduce__(self):
        raise TypeError("cannot be pickled")


@pytest.mark.parametrize("failing_rank", [0, 1])
def test_any_error_of_one_process_while_saving_ends_all(failing_rank, tmp_path):
    class Failing(type(kit.build("wgan"))):
        def on_save_checkpoint(self, checkpoint):
            super().on_save_checkpoint(checkpoint)
            if self.trainer.global_rank == failing_rank:
                raise Unpicklable("out of luck")

    class Recording(Checkpoint):
        def save(self, trainer, model, name):
            try:
                super().save(trainer, model, name)
            except Exception as error:
                (tmp_path / f"error{trainer.global_rank}").write_text(str(error))
                deadline = time.monotonic() + 10
                while len(list(tmp_path.glob("error*"))) < 2 and time.monotonic() < deadline:
                    time.sleep(0.01)  # the first process that ends is the end of the others
                raise

    model = Failing(image_size=8, image_channels=1, width=4)
    with pytest.raises(Exception, match="out of luck"):
        kit.fit(model, tmp_path, 2, callbacks=[Recording(every=1)], **kit.forked(2))
    assert all("out of luck" in (tmp_path / f"error{rank}").read_text() for rank in range(2))


def test_drafts_of_a_killed_run_are_removed_at_the_next_start(tmp_path):
    draft = tmp_path / "checkpoints" / ".last.ckpt.0123.draft"
    draft.parent.mkdir()
    draft.write_bytes(b"half a file")
    kit.fit(kit.build("wgan"), tmp_path, 1, callbacks=[Checkpoint()])
    assert not draft.exists()


def test_the_last_batch_is_saved_before_the_final_measurements(tmp_path):
    class Measurement(Callback):
        def on_train_end(self, trainer, model):
            raise KeyError

    for limits in ({"max_steps": 3}, {"max_steps": -1, "max_epochs": 1}):
        folder = tmp_path / str(len(limits))
        with pytest.raises(KeyError):
            kit.fit(kit.build("wgan"), folder, callbacks=[Measurement(), Checkpoint()], **limits)
        assert step_of(folder, "last") == (3 if len(limits) == 1 else 16)


def test_a_kill_at_any_moment_leaves_a_loadable_checkpoint(tmp_path):
    def train():
        kit.fit(kit.build("wgan", width=64), tmp_path, 10**6, callbacks=[Checkpoint(1)])

    file = tmp_path / "checkpoints/last.ckpt"
    with kit.Child(train, tmp_path) as process:
        while not file.exists():
            assert process.running(), process.stderr
            time.sleep(0.01)
        for _ in range(5):  # saving takes most of the time, so the kill falls into it
            time.sleep(0.05)
            torch.load(file, weights_only=True)
    assert torch.load(file, weights_only=True)["global_step"] >= 1
