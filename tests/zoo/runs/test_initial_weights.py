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
from zoo.runs.exports import export_model
from zoo.runs.initial_weights import load_initial_weights_
from zoo.runs.loaded_checkpoint import read

WGAN = "zoo.adversarial.wgan.WGAN"


def test_a_new_run_starts_from_the_weights_of_a_pretrained_model(tmp_path, monkeypatch, capsys):
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
    assert "init=wgan_digits: 21 of 21 tensors copied\n" in capsys.readouterr().err
    assert read("tuned").content["init"] == {"class": WGAN, "checkpoint": "wgan_digits"}
    assert "init=wgan_digits" in json.loads(Path("tuned/arguments.json").read_text())
    assert not any(setting.startswith("init=") for setting in settings_of("tuned", {}))


def test_a_resumed_run_and_its_export_keep_where_it_started(tmp_path, capsys):
    kit.fit(kit.build("wgan"), tmp_path / "first", 2, callbacks=[Checkpoint()])
    model = kit.build("wgan")
    load_initial_weights_(model, tmp_path / "first")
    kit.fit(model, tmp_path / "second", 2, callbacks=[Checkpoint()])
    file = tmp_path / "first/checkpoints/last.ckpt"
    start = {"class": WGAN, "checkpoint": str(file)}
    file.unlink()
    last = tmp_path / "second/checkpoints/last.ckpt"
    kit.fit(kit.build("wgan"), tmp_path / "third", 4, callbacks=[Checkpoint()], checkpoint=last)
    assert read(tmp_path / "second").content["init"] == start
    assert read(tmp_path / "third").content["init"] == start
    export_model(tmp_path / "third", tmp_path / "wgan")
    assert read(tmp_path / "wgan").content["init"] == {"class": WGAN}
    assert str(tmp_path) not in (tmp_path / "wgan.json").read_text()


def test_a_run_without_init_has_no_record(tmp_path):
    kit.fit(kit.build("wgan"), tmp_path, 2, callbacks=[Checkpoint()])
    assert read(tmp_path).content["init"] is None


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
    message = r"init=vae_digits: no tensor .* of WGAN\. vae_digits is a VAE: use model=vae\.$"
    with pytest.raises(UserError, match=message):
        load_initial_weights_(kit.build("wgan"), "vae_digits")


def test_the_settings_of_the_same_class_are_named():
    model = torch.nn.Linear(1, 1)
    model.__class__ = type("WGAN", (torch.nn.Linear,), {"__module__": "zoo.adversarial.wgan"})
    with pytest.raises(UserError, match=r"settings of the checkpoint's model: .*'width': 32"):
        load_initial_weights_(model, "wgan_digits")


def test_resume_and_init_exclude_each_other(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fit", "model=wgan", "resume=a", "init=b"])
    with pytest.raises(SystemExit, match=r"either resume=.* or init="):
        fit.main()


@pytest.mark.parametrize(("width", "initialized"), [(8, True), (16, False)])
def test_layers_that_do_not_fit_are_initialized_from_data(width, initialized, tmp_path):
    kit.fit(kit.build("improved_gan"), tmp_path, 2, callbacks=[Checkpoint()])
    model = kit.build("improved_gan", width=width)
    load_initial_weights_(model, tmp_path)
    assert model.discriminator.initialized.item() == initialized
