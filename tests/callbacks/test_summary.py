"""What a run leaves behind, finished or not."""

import json

import pytest

from callbacks.checkpoint import Checkpoint
from callbacks.summary import Summary, summarize_values
from tests import kit
from zoo.config.catalog import target


def test_summary_of_a_finished_run(tmp_path, capsys):
    results = {"val/fid_toy": {0: 9.0, 3: 3.0, 6: 2.0}}
    results |= {"test/fid_toy": {3: 4.0, 6: 5.0}, "test/resumed": {3: 4.0}}
    callbacks = [kit.Results(results), Summary(), Checkpoint()]
    kit.fit(kit.build("wgan"), tmp_path, 6, seed=4, callbacks=callbacks)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["model"] == "wgan"
    assert summary["data"] == "kit"
    assert (summary["seed"], summary["batches"], summary["device"]) == (4, 6, "cpu")
    assert summary["status"] == "finished"
    assert summary["seconds"] > 0
    found = [9, 2, 2, 6, 9, 0]  # first, last, lowest and its batch, highest and its batch
    assert list(summary["metrics"]["val/fid_toy"].values()) == found
    assert summary["metrics"]["test/fid_toy"]["lowest"] == 5.0
    assert "test/resumed" not in summary["metrics"], "it was measured at batch 3 alone"
    files = [str(tmp_path / f"checkpoints/{name}.ckpt") for name in ("best", "last")]
    assert summary["checkpoints"] == files
    printed = capsys.readouterr().out
    assert f"python -m zoo.sample checkpoint={tmp_path}" in printed
    assert f"python -m zoo.fit resume={tmp_path} trainer.max_steps=12" in printed
    for name in ("critic_loss", "generator_loss"):
        assert f"train/{name}" in printed, "no loss was logged in so short a run"
    assert "9 -> 2 (lowest 2 at batch 6, highest 9 at batch 0)" in printed


def test_a_metric_that_is_not_finite_is_null(tmp_path):
    results = {"val/fid_toy": {0: float("inf"), 2: float("nan")}}
    kit.fit(kit.build("wgan"), tmp_path, 2, callbacks=[kit.Results(results), Summary()])
    text = (tmp_path / "summary.json").read_text()
    summary = json.loads(text, parse_constant=pytest.fail)  # of NaN and Infinity
    assert summary["metrics"]["val/fid_toy"]["first"] is None
    assert summary["metrics"]["val/fid_toy"]["last"] is None


class Breaking(Checkpoint):
    """Measures each batch and breaks in the fifth."""

    def on_train_batch_end(self, trainer, model, *arguments):
        model.log_results({"fid_toy": 9.0 - trainer.global_step})
        if trainer.global_step == 5:
            raise RuntimeError("out of luck")
        super().on_train_batch_end(trainer, model, *arguments)


def test_the_summary_of_a_broken_run_is_that_of_its_last_checkpoint(tmp_path, capsys):
    with pytest.raises(RuntimeError, match="out of luck"):
        kit.fit(kit.build("wgan"), tmp_path, 6, callbacks=[Summary(), Breaking(every=3)])
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["status"] == "stopped by RuntimeError: out of luck"
    assert (summary["batches"], summary["reached"]) == (3, 5)
    assert summary["metrics"]["val/fid_toy"]["last"] == 6.0, "that of batch 3"
    assert "the last checkpoint is of batch 3" in capsys.readouterr().out


def test_a_summary_that_cannot_be_written_does_not_hide_the_error(tmp_path, monkeypatch, capsys):
    def full(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr("callbacks.summary.write_text", full)
    with pytest.raises(RuntimeError, match="out of luck") as failure:
        kit.fit(kit.build("wgan"), tmp_path, 6, callbacks=[Summary(), Breaking()])
    assert failure.value.__context__ is None
    assert "summary.json could not be written: disk full" in capsys.readouterr().err


def test_the_limit_that_ended_the_run_is_the_one_to_raise(tmp_path, capsys):
    callbacks = [Summary(), Checkpoint()]
    limits = {"max_epochs": 1}
    kit.fit(kit.build("wgan"), tmp_path, -1, callbacks=callbacks, **limits)
    printed = capsys.readouterr().out
    assert f"resume={tmp_path} trainer.max_epochs=2" in printed
    assert "trainer.max_steps" not in printed


def test_a_run_that_did_not_begin_has_no_summary(tmp_path):
    class Refusing(Checkpoint):
        def setup(self, trainer, model, stage):
            raise ValueError("a wrong setting")

    with pytest.raises(ValueError, match="a wrong setting"):
        kit.fit(kit.build("wgan"), tmp_path, 6, callbacks=[Summary(), Refusing()])
    assert not (tmp_path / "summary.json").exists()


def test_extremes():
    assert set(summarize_values({0: 2.0}).values()) == {2.0, 0}
    found = summarize_values({0: 2.0, 1: 1.0, 2: 3.0, 3: 2.5})
    assert (found["last"], found["lowest_batch"], found["highest_batch"]) == (2.5, 1, 2)


class Unmeasured(kit.Toy):
    """Data without an extractor."""

    extractor = None


def test_the_printed_command_names_the_extractor_that_the_defaults_do_not(tmp_path, capsys):
    def printed(name, model, data):
        kit.fit(kit.build(model), tmp_path / name, 1, data, callbacks=[Checkpoint(), Summary()])
        lines = capsys.readouterr().out.splitlines()
        (line,) = [line for line in lines if line.startswith("python -m zoo.evaluate")]
        # Commands name trust=tests unless the tests are on PYTHONPATH.
        return line.partition(f"checkpoint={tmp_path / name}")[2].removesuffix(" trust=tests")

    assert printed("default", "wgan", kit.Toy()) == ""
    assert printed("none", "wgan", Unmeasured()) == " extractor=pixels"
    assert printed("likelihood", "pixelcnn", Unmeasured()) == ""
    data = kit.Toy()
    data.extractor = {"_target_": target("extractor", "inception"), "weights": "a b"}
    expected = " extractor=inception 'extractor.weights=a b'"
    assert printed("settings", "wgan", data) == expected
