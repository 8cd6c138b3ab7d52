"""init=: a new run that starts from the weights of another."""

import json
import sys
from pathlib import Path

import pytest
import torch

import zoo
from callbacks.checkpoint import Checkpoint
from callbacks.ema import EMA
from tests import kit
from zoo import fit
from zoo.config.errors import UserError
from zoo.config.stored_arguments import settings_of
from zoo.runs.initial_weights import load_initial_weights_
from zoo.runs.loaded_checkpoint import read


def test_a_new_run_starts_from_the_weights_of_a_pretrained_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = ["model=wgan", "init=wgan_digits", "trainer.max_steps=1", "model.lr=1e-9"]
    settings += ["model.critic_lr=1e-9", "callbacks=[checkpoint,ema]", "folder=tuned"]
    monkeypatch.setattr(sys, "argv", ["fit", *settings, "trainer.accelerator=cpu", "threads=1"])
    fit.main()
    tuned, start = zoo.load("tuned"), read("wgan_digits").content["state"]
    checkpoint = torch.load("tuned/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 1, "it is a new run"
    for name, parameter in tuned.named_parameters():  # of the generator: the average
        assert (parameter - start[name]).abs().max() < 1e-5
    assert "init=wgan_digits" in json.loads(Path("tuned/arguments.json").read_text())
    assert not any(setting.startswith("init=") for setting in settings_of("tuned", {}))


def test_training_weights_are_copied_and_not_their_averages(tmp_path):
    trained = kit.build("wgan")
    kit.fit(trained, tmp_path, 10, callbacks=[EMA(decay=0.5), Checkpoint()])
    model = kit.build("wgan")
    load_initial_weights_(model, tmp_path)
    kit.assert_same(kit.weights(model), kit.weights(trained))


def test_what_does_not_fit_is_named_and_keeps_its_initial_values(tmp_path, capsys):
    kit.fit(kit.build("cgan"), tmp_path, 2, callbacks=[Checkpoint()])
    model = kit.build("cgan", classes=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    load_initial_weights_(model, tmp_path)
    stored = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    changed = [name for name in before if not torch.equal(before[name], model.state_dict()[name])]
    misfits = [name for name in before if before[name].shape != stored[name].shape]
    assert changed
    assert misfits
    assert not set(misfits) & set(changed)
    printed = capsys.readouterr().err
    assert f"{len(misfits)} tensors of another shape, not loaded: {misfits[0]}" in printed


def test_a_model_that_shares_no_tensor_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"init=wgan_digits: no tensor of .*WGAN .* VAE"):
        load_initial_weights_(kit.build("vae"), "wgan_digits")


def test_resume_and_init_exclude_each_other(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fit", "model=wgan", "resume=a", "init=b"])
    with pytest.raises(SystemExit, match=r"either resume=.* or init="):
        fit.main()
