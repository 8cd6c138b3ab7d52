"""What files may set: the zoo's groups and settings, and nothing of Hydra's."""

import json
import sys

import pytest

from zoo import fit
from zoo.config import catalog
from zoo.config.errors import UserError
from zoo.config.stored_arguments import check_recipe, read_arguments, settings_of

GOOD = [
    "model=wgan", "data=digits", "++model.lr=1e-4", "callbacks=[samples,ema]", "~callbacks.metrics",
    "++callbacks.ema.players=[generator]", "experiment=wgan_digits", "seed=3", "threads=1",
    "++trainer.max_steps=3", "logger=csv", "extractor=pixels", "+extractor.weights='a b'",
]  # fmt: skip
BAD = [
    "hydra.run.dir=/tmp", "+hydra.callbacks.x._target_=os.system", "++hydra.job.chdir=true",
    "hydra/launcher=joblib", "+hydra/callbacks=x", "--config-dir=/tmp", "-cn", "--multirun",
    "++model._target_=os.system", "++model.x._partial_=true", "data@model=digits", "model@x=y",
    "folder=/home", "resume=other", "trust=evil", "++trainer.default_root_dir=/home",
    "seed=${oc.env:HOME}", "++data.root=${oc.env:SECRET}", "++model.lr=${model.width}",
    "modelx=1", "model:a=b", "", "=", "seed=1\nhydra.run.dir=x", "@model=x", "defaults=[]",
]  # fmt: skip


def stored(folder, settings):
    (folder / "arguments.json").write_text(json.dumps(settings))
    return folder / "arguments.json"


def test_what_runs_store_is_read(tmp_path):
    assert read_arguments(stored(tmp_path, GOOD)) == GOOD


@pytest.mark.parametrize("setting", BAD)
def test_other_settings_are_refused(setting, tmp_path):
    file = stored(tmp_path, ["model=wgan", setting])
    with pytest.raises(UserError, match=r"is not a setting that a run stores"):
        settings_of(tmp_path, {})
    with pytest.raises(UserError) as refusal:
        read_arguments(file)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", ["", "{}", "3", "null", "[1]", '["a=1", null]', "[" * 100_000])
def test_malformed_arguments_are_one_line(content, tmp_path):
    (tmp_path / "arguments.json").write_text(content)
    with pytest.raises(UserError, match="is damaged") as refusal:
        settings_of(tmp_path, {})
    assert "\n" not in str(refusal.value)


def test_a_run_that_would_run_a_command_is_refused(tmp_path, monkeypatch):
    owned = tmp_path / "owned"
    attack = ["+hydra.callbacks.x._target_=builtins.open", f"+hydra.callbacks.x.file={owned}"]
    stored(tmp_path, ["model=wgan", *attack, "+hydra.callbacks.x.mode=w"])
    monkeypatch.setattr(sys, "argv", ["fit", f"resume={tmp_path}"])
    with pytest.raises(SystemExit, match="is not a setting that a run stores"):
        fit.main()
    assert not owned.exists()


def test_the_zoos_recipes_pass_the_check():
    from omegaconf import OmegaConf

    for file in catalog.recipes().values():
        check_recipe(OmegaConf.to_container(OmegaConf.load(file)), file)


@pytest.mark.parametrize(
    "recipe",
    [
        "hydra:\n  callbacks:\n    x:\n      _target_: builtins.open\n",
        "defaults:\n  - override /hydra/launcher: joblib\n",
        "defaults:\n  - /hydra/callbacks: x\n",
        "seed: ${oc.env:HOME}\n",
        "resume: elsewhere\n",
    ],
)
def test_a_recipe_must_not_configure_hydra(recipe, tmp_path, monkeypatch):
    file = tmp_path / "mine.yaml"
    file.write_text(f"# @package _global_\n{recipe}")
    monkeypatch.setattr(sys, "argv", ["fit", "model=wgan", f"experiment={file}"])
    with pytest.raises(SystemExit, match=r"mine\.yaml.* a recipe "):
        fit.main()
